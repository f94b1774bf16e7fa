import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** What `--json` prints, one a case and metric. */
interface Line {
  bench: string
  case: string
  metric: string
  unit: string
  better: 'higher' | 'lower'
  blockwire: number
  limit: number
  peers: Record<string, number | null>
  ratio: Record<string, number | null>
  runs: number[]
  note?: string
}

/** With --quick they are measured where an earlier run has installed them. */
const INSTALLED_LATER = new Set(['hypercore', 'bcoin'])

/** What `npm run bench -- ...` runs; npm itself builds first, and once is enough for that. */
const bench = (...args: string[]): Promise<Run> => run(process.execPath, ['bench/index.mjs', ...args])

interface Run {
  code: number | null
  out: string
  errors: string
}

async function run(command: string, args: string[]): Promise<Run> {
  const child = spawn(command, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  const code = new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  const [out, errors] = await Promise.all([text(child.stdout), text(child.stderr)])
  return { code: await code, out, errors }
}

/** Nothing but lines of JSON may be there. */
async function lines(...args: string[]): Promise<Line[]> {
  const { code, out, errors } = await bench(...args, '--json')
  expect(code, errors).toBe(0)
  return out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
}

function expectSound(line: Line, runs: number, better: Line['better'] = 'higher'): void {
  expect(line.better).toBe(better)
  expect(line.runs).toHaveLength(runs)
  for (const value of [line.blockwire, line.limit, ...line.runs]) expect(value, JSON.stringify(line)).toBeGreaterThan(0)
  for (const [name, value] of Object.entries(line.peers)) {
    // one that is not installed is not dropped in silence
    if (value === null && INSTALLED_LATER.has(name)) expect(line.note).toContain(`${name} not measured: `)
    else expect(value, JSON.stringify(line)).toBeGreaterThan(0)
  }
  const others: Record<string, number | null> = { limit: line.limit, ...line.peers }
  expect(Object.keys(line.ratio)).toEqual(Object.keys(others))
  for (const [name, other] of Object.entries(others)) {
    if (other === null) expect(line.ratio[name]).toBeNull()
    else expect(line.ratio[name]).toBeCloseTo(line.blockwire / other, 9)
  }
}

describe('npm run bench', () => {
  it('-- mine --json --quick compares the hash rate of all threads', async () => {
    const [line, ...rest] = await lines('mine', '--quick', '--runs', '3')
    expect(rest).toEqual([])
    expect(line).toMatchObject({ bench: 'mine', unit: 'MH/s' })
    expectSound(line!, 3)
    expect(Object.keys(line!.peers)).toEqual(['createHash'])
    expect(line!.blockwire).toBe(line!.runs.toSorted((a, b) => a - b)[1])
  })

  it('-- sync --json --quick downloads every case and ends on the head of the server', async () => {
    const all = await lines('sync', '--quick')
    expect(all.map((line) => `${line.case} in ${line.unit}`)).toEqual([
      '300B in blocks/s',
      '100KB in blocks/s',
      'headers in headers/s',
      'coin in blocks/s'
    ])
    for (const line of all) {
      expect(line.bench).toBe('sync')
      expectSound(line, 1)
    }
    const peers = all.map((line) => Object.keys(line.peers).join(' '))
    expect(peers).toEqual(['hypercore bcoin naive', 'hypercore bcoin naive', 'naive', 'naive'])
    expect(all[0]!.note).toContain('blocks of 300 B')
  })

  it('-- sync --json --quick --case long tells the rate and the memory', async () => {
    const [rate, memory, ...rest] = await lines('sync', '--quick', '--case', 'long')
    expect(rest).toEqual([])
    expect(rate).toMatchObject({ case: 'long', unit: 'blocks/s' })
    expect(memory).toMatchObject({ case: 'long', unit: 'MB' })
    expectSound(rate!, 1)
    expectSound(memory!, 1, 'lower')
  })

  it('-- sync --json --quick --case fan ends with one honest peer of four, and charges the liar alone', async () => {
    const [line, ...rest] = await lines('sync', '--quick', '--case', 'fan')
    expect(rest).toEqual([])
    expect(line).toMatchObject({ case: 'fan', metric: 'time', unit: 's', peers: {} })
    expectSound(line!, 1, 'lower')
    expect(line!.note).toContain('charged: ')
    expect(line!.note).toContain('nobody else')
  })

  it('-- peers --json --quick measures the cases asked for, one with a space in its name too', async () => {
    const all = await lines('peers', '--quick', '--case', 'converge', '--case', 'idle peer')
    expect(all.map((line) => `${line.case}: ${line.metric} in ${line.unit}`)).toEqual([
      'converge: time in ms',
      'idle peer: RSS in KB'
    ])
    for (const line of all) {
      expect(line.bench).toBe('peers')
      expectSound(line, 1, 'lower')
      expect(line.peers).toEqual({})
    }
  })

  it('-- txs --json --quick carries transactions into another pool, signed ones too', async () => {
    const all = await lines('txs', '--quick')
    expect(all.map((line) => `${line.case} in ${line.unit}`)).toEqual(['unsigned in tx/s', 'signed in tx/s'])
    for (const line of all) {
      expect(line).toMatchObject({ bench: 'txs', metric: 'tx/s' })
      expectSound(line, 1)
      expect(Object.keys(line.peers)).toEqual(['gossipsub'])
    }
  })

  it('-- blocks --json --quick measures bytes and time, of pools that have all and of such that have nothing', async () => {
    const all = await lines('blocks', '--quick')
    expect(all.map((line) => `${line.case}: ${line.metric} in ${line.unit}`)).toEqual([
      'full pools: bytes in B',
      'full pools: time in ms',
      'empty pools: bytes in B',
      'empty pools: time in ms'
    ])
    for (const line of all) {
      expect(line.bench).toBe('blocks')
      expectSound(line, 1, 'lower')
      expect(Object.keys(line.peers)).toEqual(['gossipsub'])
    }
  })

  it('without --json prints a table', async () => {
    const { code, out } = await bench('mine', '--quick')
    expect(code).toBe(0)
    expect(out).toMatch(
      /^mine threads: hash rate in MH\/s, higher is better\n {2}blockwire +[\d.]+\n {2}limit +[\d.]+ +blockwire is/
    )
  })

  it('says what there is when the name is unknown', async () => {
    const { code, out, errors } = await bench('nothing')
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(errors).toMatch(/no benchmark 'nothing'[\s\S]*mine[\s\S]*sync/)
  })

  it('--help tells the options', async () => {
    const { code, out } = await run('npm', ['run', '--silent', 'bench', '--', '--help'])
    expect(code).toBe(0)
    expect(out).toMatch(/--runs[\s\S]*--json[\s\S]*--quick/)
  })
})
