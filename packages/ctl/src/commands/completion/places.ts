import type { Command } from '../../cli/command.ts'

/** A word that may be typed, and what it is for. */
export interface Choice {
  readonly word: string
  readonly about: string
}

/** What may follow one path of commands. */
export interface Place {
  /** The commands typed so far, joined by blanks; empty after the program's name. */
  readonly path: string
  readonly commands: readonly Choice[]
  readonly flags: readonly Choice[]
}

const HELP: Choice = { word: '--help', about: 'show help' }

/** Every path of `root`, each before those that go on from it. */
export async function placesOf(root: Command): Promise<Place[]> {
  return walk(root, '', [])
}

async function walk(command: Command, path: string, inherited: readonly Choice[]): Promise<Place[]> {
  const choices = (flags: Command['flags'] = []): Choice[] =>
    flags.map(({ name, usage }) => ({ word: `--${name}`, about: usage }))
  const shared = [...choices(command.sharedFlags), ...inherited]
  const children = await Promise.all((command.commands ?? []).map((entry) => entry.load()))
  const place: Place = {
    path,
    commands: children.map(({ name, short }) => ({ word: name, about: short })),
    flags: [HELP, ...choices(command.flags), ...shared],
  }
  const below = await Promise.all(
    children.map((child) => walk(child, `${path} ${child.name}`.trim(), shared)),
  )
  return [place, ...below.flat()]
}
