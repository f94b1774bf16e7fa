#!/usr/bin/env node
// Removes from dist what no source stands behind any more: tsc leaves the files of renamed and deleted sources there.
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../', import.meta.url))
const dist = join(root, 'dist')
for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile()) continue
  const file = join(entry.parentPath, entry.name)
  // what tsc knows of its last run; it is not packed
  if (entry.name === '.tsbuildinfo') continue
  const source = join(root, file.slice(dist.length)).replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts')
  if (!existsSync(source)) rmSync(file)
}
