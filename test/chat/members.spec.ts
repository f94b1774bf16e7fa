import { describe, expect, it } from 'vitest'
import { Members } from '../../dist/src/chat/members.js'

const said = (clock: number) => ({ sender: 'ana', name: 'ana', clock, id: `${clock}` })

describe('what is remembered of the members of a room', () => {
  it('takes all of the past that was said before what is heard first, more of it than is remembered', () => {
    const members = new Members()
    members.hear({ ...said(1_000), leaves: false }, 0)
    for (let clock = 1; clock <= 100; clock++) {
      expect(members.knows(said(clock)), `message ${clock}`).toBe(false)
      members.recall(said(clock), 0)
      expect(members.knows(said(clock))).toBe(true)
    }
    // what was forgotten is not taken for new
    for (let clock = 1; clock <= 100; clock++) expect(members.knows(said(clock)), `message ${clock}`).toBe(true)
    expect(members.knows(said(1_000))).toBe(true)
  })
})
