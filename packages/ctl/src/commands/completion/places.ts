import type { Command } from '../../cli/command.ts'

/** A word that may be typed, and what it is for. */
export interface Choice {
  readonly word: string
  readonly about: string
  /** A flag whose value is the next word. */
  readonly hasValue: boolean
}

/** What may follow one path of commands. */
export interface Place {
  /** The commands typed so far, joined by blanks; empty after the program's name. */
  readonly path: string
  readonly commands: readonly Choice[]
  /** Without those that may stand anywhere. */
  readonly flags: readonly Choice[]
}

/** Everything that may be typed. */
export interface Choices {
  /** Every path, each before those that go on from it. */
  readonly places: readonly Place[]
  /** Flags that may stand anywhere. */
  readonly globals: readonly Choice[]
}

const HELP: Choice = { word: '--help', about: 'show help', hasValue: false }

/** What may be typed after `root`. */
export async function choicesOf(root: Command): Promise<Choices> {
  const { sharedFlags, ...bare } = root
  return { places: await walk(bare, '', []), globals: [HELP, ...flagChoices(sharedFlags)] }
}

async function walk(command: Command, path: string, inherited: readonly Choice[]): Promise<Place[]> {
  const shared = [...flagChoices(command.sharedFlags), ...inherited]
  const children = await Promise.all((command.commands ?? []).map((entry) => entry.load()))
  const place: Place = {
    path,
    commands: children.map(({ name, short }) => ({ word: name, about: short, hasValue: false })),
    flags: [...flagChoices(command.flags), ...shared],
  }
  const below = await Promise.all(
    children.map((child) => walk(child, `${path} ${child.name}`.trim(), shared)),
  )
  return [place, ...below.flat()]
}

function flagChoices(flags: Command['flags'] = []): Choice[] {
  return flags.map(({ name, usage, type }) => ({
    word: `--${name}`,
    about: usage,
    hasValue: type !== 'bool',
  }))
}
