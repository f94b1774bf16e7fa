/** libp2p 3 needs `Promise.withResolvers` and `require` of ES modules. */
const OLDEST = [22, 12] as const

/** Is this version of Node, as in `process.versions.node`, too old? Not when there is none, as in a browser. */
export function isTooOld(version: string | undefined): version is string {
  if (version == null) return false
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])
}
