import { rawArguments } from './byte-text.ts'
import { execute } from './cli/command.ts'
import { root } from './commands/root.ts'
import { ExitCode, ExitError } from './exit.ts'
import type { Io } from './io.ts'
import { ProcessIo } from './process-io.ts'

/** Runs one command. @returns the exit code */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const api = io.env['ETCDCTL_API'] ?? ''
  if (api !== '' && api !== '3') {
    io.err(`unsupported API version ${api}\n`)
    return ExitCode.Error
  }
  try {
    await execute(root, args, io)
    return ExitCode.Success
  } catch (error) {
    return fail(error, io)
  }
}

async function fail(error: unknown, io: Io): Promise<number> {
  if (error instanceof ExitError) {
    if (error.message !== '') io.err(`Error: ${error.message}\n`)
    return error.code
  }
  const { callErrorText } = await import('./call-error.ts')
  io.err(`Error: ${callErrorText(error)}\n`)
  return ExitCode.Error
}

/** Runs the process's own command line and ends the process; connections end with it. */
export async function main(): Promise<never> {
  const args = await rawArguments(process.argv.slice(2))
  const io = new ProcessIo()
  const code = await run(args, io)
  await io.flush()
  process.exit(code)
}
