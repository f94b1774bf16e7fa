import { disable, enable, logger } from '@libp2p/logger'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { quietLogger } from '../dist/src/quiet-logger.js'

/** The lines that were written to stderr, as libp2p's own logger writes them, without colours and times. */
function written(task: () => void): string[] {
  const lines: string[] = []
  const spy = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    lines.push(...String(text).trim().split('\n'))
    return true
  })
  try {
    task()
  } finally {
    spy.mockRestore()
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is taken out
  return lines.map((line) => line.replace(/\u001b\[[0-9;]*m|^\S+Z | \+\d+ms$/g, '').trim())
}

afterEach(() => disable())

describe('the quiet logger', () => {
  test('says nothing by default', () => {
    const log = quietLogger().forComponent('a')
    expect(log.enabled).toBe(false)
    expect(
      written(() => {
        log('one')
        log.error('two')
        log.trace('three')
        log.newScope('b')('four')
      })
    ).toEqual([])
  })

  test.each(['a', 'a,a:error', 'a*', 'a:*', '*,*:trace', 'a:b', '-a,*', 'c'])(
    'says with DEBUG=%s what libp2p’s own says',
    (names) => {
      const talk = (log: ReturnType<typeof logger>): void => {
        log('one %d', 1)
        log.error('two')
        log.trace('three')
        const scope = log.newScope('b')
        scope('four')
        scope.error('five')
      }
      const late = quietLogger().forComponent('a')
      enable(names)
      expect(written(() => talk(quietLogger().forComponent('a')))).toEqual(written(() => talk(logger('a'))))
      // one that was there before is heard too
      expect(written(() => late('one'))).toEqual(written(() => logger('a')('one')))
      expect(late.enabled).toBe(logger('a').enabled)
    }
  )
})
