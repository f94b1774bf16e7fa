import { clean } from '../../examples/mining-node/clean.js'
import { BlockwireError } from '../errors.js'

/** A failure as a person and a program need it. */
export interface Failure {
  code: string
  message: string
  fix: string
  /** Of the process: 2 where the command line is wrong, 1 otherwise. */
  exit: 1 | 2
}

/** What to say about anything that was thrown. Errors that are not ours get the code BW_INTERNAL. */
export function failureOf(err: unknown): Failure {
  if (err instanceof BlockwireError) {
    return {
      code: err.code,
      message: clean(err.message),
      fix: clean(err.fix ?? ''),
      exit: err.code === 'BW_CONFIG' ? 2 : 1
    }
  }
  const message = err instanceof Error ? `${err.name}: ${err.message}` : String(err)
  return {
    code: 'BW_INTERNAL',
    message: clean(message),
    fix: 'please report this, with the command that led to it',
    exit: 1
  }
}

/**
 * The lines for stderr. A wrong command line gets a hint; anything else says code, message and remedy, in one line or, for people
 * (`tall`), in lines of their own.
 */
export function failureLines(failure: Failure, command = 'blockwire', tall = false): string[] {
  const { code, message, fix, exit } = failure
  if (exit === 2) return [`error ${message}`, `  ${fix === '' ? '' : `${fix}; `}see ${command} --help`]
  if (!tall) return [`error ${code}  ${message}${fix === '' ? '' : `; ${fix}`}`]
  return [
    `error ${code}  ${message}`,
    ...(fix === '' ? [] : [`  fix    ${fix}`]),
    `  more   docs/errors.md#${code.toLowerCase()}`
  ]
}
