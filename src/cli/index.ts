#!/usr/bin/env node
// Must parse and run on old Nodes: nothing is imported before the check, not even our own errors.
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)

if (major < 22 || (major === 22 && minor < 12)) {
  console.error(
    `error BW_NODE_VERSION  blockwire needs Node 22.12 or newer, this is ${process.versions.node}; install a newer Node`
  )
  process.exitCode = 1
} else {
  import('./program.js').then(({ main }) => main(process.argv.slice(2)))
}

export {}
