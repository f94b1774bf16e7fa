import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { freePort } from '../helpers/port.js'

const EXAMPLE = fileURLToPath(new URL('../../dist/examples/peers/index.js', import.meta.url))

test('plain libp2p hosts find a seed that starts late, are introduced by it, and stay together when it goes', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, [EXAMPLE, String(await freePort())], {
    timeout: 25_000
  })
  const lines = stdout.trim().split('\n')
  const at = (line: RegExp): number => {
    const index = lines.findIndex((each) => line.test(each))
    expect(index, `${line} in\n${stdout}`).toBeGreaterThanOrEqual(0)
    return index
  }
  const order = [
    at(/^alice: the seed is failed: .*ECONNREFUSED.*; again in \d+ ms$/),
    at(/^alice: the seed is here$/),
    at(/^alice: …\w{6} is here$/),
    at(/^alice: the seed is gone: /),
    at(/^alice: bob is joined, next: ping in \d+ ms$/)
  ]
  expect(order).toEqual(order.toSorted((a, b) => a - b))
  at(/^alice: the seed is waiting, next: dial in \d+ ms$/)
  at(/^bob: …\w{6} is here$/)
})
