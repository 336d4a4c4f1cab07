/**
 * The tree of commands: found by name or by a prefix that fits one command only, with the help and the error
 * texts that etcdctl's users know. A command's file is loaded when the command is run or its help is shown,
 * so that starting one costs nothing for the others.
 */
import { ExitCode, ExitError, errorText } from '../exit.ts'
import type { Io } from '../io.ts'
import { FlagSet, type FlagSpec } from './flags.ts'
import { quoteText } from './quote.ts'

/** One command, or a group of commands when it has `commands` and no `run`. */
export interface Command {
  readonly name: string
  /** The usage line after the parent's path: `get [options] <key> [range_end]`. */
  readonly use: string
  /** One line for lists. */
  readonly short: string
  /** Paragraphs for its own help. */
  readonly long?: string
  readonly flags?: readonly FlagSpec[]
  /** Flags that its commands accept, too. */
  readonly sharedFlags?: readonly FlagSpec[]
  readonly commands?: readonly CommandEntry[]
  /** Arguments are refused before it runs. */
  readonly noArguments?: true
  readonly run?: (invocation: Invocation) => Promise<void>
}

/** A command by name, before its file is loaded. */
export interface CommandEntry {
  readonly name: string
  readonly load: () => Promise<Command>
}

/** What a command gets to work with. */
export interface Invocation {
  readonly args: readonly string[]
  readonly flags: FlagSet
  /** Flags of the root: those that environment variables may set. */
  readonly globals: readonly FlagSpec[]
  readonly command: Command
  readonly root: Command
  readonly io: Io
}

/** A command that was found: itself after its parents, and the arguments left for it. */
export interface Found {
  readonly path: readonly Command[]
  readonly args: readonly string[]
}

const HELP: FlagSpec = { name: 'help', short: 'h', type: 'bool', usage: '' }

/**
 * Runs `args` on the tree of `root`.
 *
 * @throws ExitError for everything but success
 */
export async function execute(root: Command, args: readonly string[], io: Io): Promise<void> {
  const found = await find(root, args).catch((error: unknown) => {
    io.err(`Error: ${errorText(error)}\nRun '${root.name} --help' for usage.\n`)
    throw new ExitError(ExitCode.Error, errorText(error), { cause: error })
  })
  const command = found.path.at(-1)!
  const flags = flagsOf(found.path)
  let rest: string[]
  try {
    rest = flags.parse(found.args)
    if (command.noArguments === true && rest.length > 0) {
      throw new Error(`unknown command ${quoteText(rest[0]!)} for "${pathOf(found.path)}"`)
    }
  } catch (error) {
    await failWithUsage(found.path, errorText(error), io)
    return
  }
  if (flags.bool('help') || !command.run) {
    const { usageOf } = await import('./help.ts')
    io.out(await usageOf(found.path, { newer: flags.bool('help') }))
    return
  }
  const globals = root.sharedFlags ?? []
  await command.run({ args: rest, flags, globals, command, root, io })
}

async function failWithUsage(path: readonly Command[], text: string, io: Io): Promise<never> {
  const { usageOf } = await import('./help.ts')
  io.err(`Error: ${text}\n`)
  io.out(await usageOf(path, { newer: false }))
  io.err('\n')
  throw new ExitError(ExitCode.Error, text)
}

/** All flags that the last command of `path` accepts. */
export function flagsOf(path: readonly Command[]): FlagSet {
  const flags = new FlagSet()
  flags.add([HELP])
  flags.add(path.at(-1)!.flags ?? [])
  for (const command of path) flags.add(command.sharedFlags ?? [])
  return flags
}

/** The words that call the last command of `path`. */
export function pathOf(path: readonly Command[]): string {
  return path.map((command) => command.name).join(' ')
}

/**
 * Finds the command that `args` ask for. Flags may stand before and between the words of its path.
 *
 * @throws Error when the first word is no command of the root
 */
export async function find(root: Command, args: readonly string[]): Promise<Found> {
  const path = [root]
  let rest = [...args]
  for (;;) {
    const at = firstWord(rest, flagsOf(path))
    const word = rest[at]
    const entries = path.at(-1)!.commands ?? []
    const entry = word === undefined ? undefined : match(entries, word)
    if (entry) {
      path.push(await entry.load())
      rest = rest.toSpliced(at, 1)
    } else if (word !== undefined && path.length === 1) {
      throw new Error(`unknown command ${quoteText(word)} for "${root.name}"${suggestions(entries, word)}`)
    } else {
      return { path, args: rest }
    }
  }
}

/** Index of the first argument that is neither a flag nor the value of one; the length when there is none. */
function firstWord(args: readonly string[], flags: FlagSet): number {
  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!
    if (arg === '--') break
    const long = arg.startsWith('--')
    if (arg === '') continue
    if (!arg.startsWith('-')) return at
    const hasValueAfter = !arg.includes('=') && (long || arg.length === 2)
    if (hasValueAfter && !flags.standsAlone(arg.slice(long ? 2 : 1))) at++ // unknown flags are taken to have a value
  }
  return args.length
}

function match(entries: readonly CommandEntry[], word: string): CommandEntry | undefined {
  const exact = entries.find((entry) => entry.name === word)
  if (exact) return exact
  const begun = entries.filter((entry) => entry.name.startsWith(word))
  return begun.length === 1 ? begun[0] : undefined
}

function suggestions(entries: readonly CommandEntry[], word: string): string {
  const typed = word.toLowerCase()
  const near = entries.filter(({ name }) => name.startsWith(typed) || editDistance(typed, name) <= 2)
  if (near.length === 0) return ''
  return `\n\nDid you mean this?\n${near.map(({ name }) => `\t${name}\n`).join('')}`
}

/** Levenshtein's distance. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}
