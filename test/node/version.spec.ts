import { createNode } from 'blockwire'
import { testRules } from 'blockwire/testing'
import { afterEach, expect, it, vi } from 'vitest'
import { isTooOld } from '../../dist/src/node-version.js'

afterEach(() => {
  vi.unstubAllGlobals()
})

it('Node before 22.12 is too old, a browser is not', () => {
  expect(['20.20.2', '22.11.0', '22.12.0', '24.21.0', undefined].map(isTooOld)).toEqual([
    true,
    true,
    false,
    false,
    false
  ])
})

it('an old Node is named before anything else happens', async () => {
  vi.stubGlobal('process', { ...process, versions: { ...process.versions, node: '20.20.2' } })
  await expect(createNode({ rules: testRules(), listen: 'nonsense' })).rejects.toMatchObject({
    name: 'NodeVersionError',
    message: expect.stringContaining('20.20.2')
  })
})
