/**
 * One case and metric of a benchmark, as it is printed with --json.
 *
 * @typedef {object} Line
 * @property {string} bench
 * @property {string} case
 * @property {string} metric
 * @property {string} unit
 * @property {'higher' | 'lower'} better
 * @property {number} blockwire Median, as are `limit` and `peers`.
 * @property {number} limit What a program without the library reaches on this machine, measured in the same run.
 * @property {Record<string, number | null>} peers Other ways to do it; null where one could not be measured.
 * @property {Record<string, number | null>} ratio blockwire ÷ the other, by `limit` and the names of `peers`.
 * @property {number[]} runs The raw values of `blockwire`, in the order measured.
 * @property {Record<string, number[]>} others The raw values of the others, by name.
 * @property {string} [note]
 */

/** @param {number[]} values @returns {number} NaN of none. */
export function median(values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/**
 * Sums up what `interleave` measured.
 *
 * @param {Pick<Line, 'bench' | 'case' | 'metric' | 'unit' | 'better'>} what
 * @param {Record<string, number[]>} measured By name; `blockwire` and `limit` are among them.
 * @returns {Line}
 */
export function line(what, measured) {
  const { blockwire: runs, ...others } = Object.fromEntries(
    Object.entries(measured).map(([name, values]) => [name, values.map(figure)])
  )
  const { limit, ...peers } = Object.fromEntries(
    Object.entries(others).map(([name, values]) => [name, values.length === 0 ? null : figure(median(values))])
  )
  if (runs.length === 0 || limit == null) throw new Error(`${what.bench} ${what.case}: blockwire and limit are needed`)
  const blockwire = figure(median(runs))
  const ratio = Object.fromEntries(
    Object.entries({ limit, ...peers }).map(([name, value]) => [name, value == null ? null : blockwire / value])
  )
  return { ...what, blockwire, limit, peers, ratio, runs, others }
}

/** What is said of a line that was measured with --quick. */
export const QUICK = 'quick: these figures mean nothing'

/**
 * Adds to a line's note.
 *
 * @param {Line} line @param {string} text
 */
export function remark(line, text) {
  line.note = line.note == null ? text : `${line.note}; ${text}`
}

/** @param {Line} line @param {string} other @param {number} wanted At least this, or at most where lower is better. */
export function bar(line, other, wanted) {
  const ratio = line.ratio[other]
  if (ratio == null) {
    remark(line, `bar ${wanted} x ${other}: not measured`)
    return
  }
  const met = line.better === 'higher' ? ratio >= wanted : ratio <= wanted
  remark(line, `bar ${wanted} x ${other}: ${met ? 'met' : 'MISSED'} (${ratio.toFixed(2)})`)
}

/**
 * As `bar`, for the figure itself.
 *
 * @param {Line} line @param {number} wanted
 */
export function goal(line, wanted) {
  const met = line.better === 'higher' ? line.blockwire >= wanted : line.blockwire <= wanted
  remark(line, `bar ${shown(wanted)} ${line.unit}: ${met ? 'met' : 'MISSED'} (${shown(line.blockwire)})`)
}

/**
 * Says of each peer that could not be measured why.
 *
 * @param {Line} line @param {Map<string, string>} lost
 */
export function excuse(line, lost) {
  for (const [name, why] of lost) {
    // what a process wrote before it died is long: its error is what counts
    const short = (/^.*\bError\b.*$/m.exec(why)?.[0] ?? why).replace(/\s+/g, ' ').trim().slice(0, 300)
    remark(line, `${name} not measured: ${short}`)
  }
}

/** @param {Line} line @returns {string} Several lines for people. */
export function table(line) {
  const rows = Object.entries({ blockwire: line.blockwire, limit: line.limit, ...line.peers }).map(([name, value]) => {
    const runs = name === 'blockwire' ? line.runs : (line.others[name] ?? [])
    const ratio = line.ratio[name]
    return [
      name,
      value == null ? 'not measured' : shown(value),
      runs.length < 2 ? '' : `[${shown(Math.min(...runs))}..${shown(Math.max(...runs))}]`,
      ratio == null ? '' : `blockwire is ${ratio.toFixed(2)} x`
    ]
  })
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  const text = rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column])).join('  ')}`.trimEnd())
  const title = `${line.bench} ${line.case}: ${line.metric} in ${line.unit}, ${line.better} is better`
  return [title, ...text, ...(line.note == null ? [] : [`  ${line.note}`])].join('\n')
}

/** Four digits are more than any run repeats. @param {number} value */
function figure(value) {
  return value >= 1_000 ? Math.round(value) : Number(value.toPrecision(4))
}

/** @param {number} value */
function shown(value) {
  return value.toLocaleString('en-US', { maximumFractionDigits: value < 100 ? 2 : 0 })
}
