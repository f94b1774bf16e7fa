/** How this program was called, for commands that others are to copy. */
export function invocation(): string {
  // in a checkout `npx blockwire` would look for a package of that name
  return process.env.npm_lifecycle_event === 'blockwire' ? 'npm run blockwire --' : 'npx blockwire'
}
