/**
 * The text format of the data-driven cases:
 *
 *     # remark
 *     command key key=value key=(value, value)
 *     input lines
 *     ----
 *     expected output, up to an empty line
 *
 * Output that itself has empty lines stands between two pairs of `----` lines. A line that ends in a
 * backslash goes on in the next one.
 */

export interface CaseArgument {
  readonly key: string
  /** Empty for a bare key. */
  readonly values: readonly string[]
}

export interface Case {
  readonly command: string
  readonly args: readonly CaseArgument[]
  readonly input: string
  /** Empty, or ending in a newline. */
  readonly expected: string
  /** Number of the command's line, counted from 1. */
  readonly line: number
}

const SEPARATOR = '----'

/** The text is not of the format. */
export class CaseFormatError extends Error {
  override readonly name = 'CaseFormatError'
}

/** @throws CaseFormatError */
export function parseCases(text: string): Case[] {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  const cases: Case[] = []
  let at = 0
  while (at < lines.length) {
    const line = at + 1
    let directive = lines[at++]!.trim()
    if (directive === '' || directive.startsWith('#')) continue
    while (directive.endsWith('\\') && at < lines.length) {
      directive = `${directive.slice(0, -1).trim()} ${lines[at++]!.trim()}`
    }
    const { command, args } = parseDirective(directive, line)
    // Groups cases of one file; they share its state all the same.
    if (command === 'subtest') continue
    const input: string[] = []
    while (at < lines.length && lines[at] !== SEPARATOR) input.push(lines[at++]!)
    if (at === lines.length) throw new CaseFormatError(`line ${line}: no ${SEPARATOR} after the command`)
    at++
    const expected: string[] = []
    if (lines[at] === SEPARATOR) {
      at++
      while (lines[at] !== SEPARATOR || lines[at + 1] !== SEPARATOR) {
        if (at >= lines.length) throw new CaseFormatError(`line ${line}: expected output has no end`)
        expected.push(lines[at++]!)
      }
      at += 2
    } else {
      while (at < lines.length && lines[at]!.trim() !== '') expected.push(lines[at++]!)
    }
    cases.push({
      command,
      args,
      input: input.join('\n'),
      expected: expected.map((one) => `${one}\n`).join(''),
      line,
    })
  }
  return cases
}

function parseDirective(text: string, line: number): { command: string; args: CaseArgument[] } {
  const fault = (): CaseFormatError => new CaseFormatError(`line ${line}: cannot parse directive: ${text}`)
  const command = /^[-a-zA-Z0-9_,.]+/.exec(text)?.[0]
  if (command === undefined) throw fault()
  const args: CaseArgument[] = []
  let rest = text.slice(command.length)
  while (rest.trim() !== '') {
    const match = /^ +([-a-zA-Z0-9_,./]+)(?:=(\([^)]*\)|[^ ()]*))?/.exec(rest)
    if (match === null) throw fault()
    const [whole, key, value] = match
    args.push({ key: key!, values: value === undefined ? [] : valuesOf(value) })
    rest = rest.slice(whole.length)
  }
  return { command, args }
}

function valuesOf(text: string): string[] {
  if (!text.startsWith('(')) return [text]
  const list = text.slice(1, -1)
  return list.trim() === '' ? [] : list.split(',').map((value) => value.trim())
}
