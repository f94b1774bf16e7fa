#!/usr/bin/env node
// npm run example -- NAME [ARGUMENT ...]: runs an example of the build, its demo where it has one.
import { existsSync, readdirSync } from 'node:fs'

const folder = new URL('../dist/examples/', import.meta.url)
const [name] = process.argv.splice(2, 1)
const file = ['demo', 'index'].map((part) => new URL(`${name}/${part}.js`, folder)).find((url) => existsSync(url))
if (name == null || !/^[\w-]+$/.test(name) || file == null) {
  const names = readdirSync(folder).filter((entry) => existsSync(new URL(`${entry}/index.js`, folder)))
  console.error(`usage: npm run example -- NAME, with NAME one of ${names.join(', ')}`)
  process.exit(2)
}
await import(file)
