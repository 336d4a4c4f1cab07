/** The lines of a transaction that `etcdctl txn` reads. */
import { etcdserverpb } from '@etcd-ts/api'
import { bytesOf, textOf } from './byte-text.ts'
import { parseInteger } from './cli/numbers.ts'
import { quoteText, unquotePrefix } from './cli/quote.ts'
import { ExitCode, ExitError } from './exit.ts'

const { CompareResult, CompareTarget } = etcdserverpb

const OPERATORS: Readonly<Record<string, etcdserverpb.CompareResult>> = {
  '=': CompareResult.EQUAL,
  '!=': CompareResult.NOT_EQUAL,
  '>': CompareResult.GREATER,
  '<': CompareResult.LESS,
}

/** A comparison: `TARGET("KEY") OPERATOR "VALUE"`. @throws ExitError */
export function parseCompare(line: string): etcdserverpb.CompareInit {
  const paren = line.indexOf('(')
  if (paren < 0) throw invalid(`malformed comparison: ${line}`)
  const target = line.slice(0, paren)
  const { key, operator, value, complete } = scan(line.slice(paren + 1))
  if (!complete) {
    const got = `${target}(${quoteText(key)}) ${operator} ${quoteText(value)}`
    throw invalid(`malformed comparison: ${line}; got ${got}`)
  }
  const union = targetOf(target, value, line)
  const result = OPERATORS[operator]
  if (result === undefined) throw new ExitError(ExitCode.BadConnection, `unknown result op: ${operator}`)
  return { result, key: bytesOf(key), ...union }
}

function targetOf(
  target: string,
  value: string,
  line: string,
): Pick<etcdserverpb.CompareInit, 'target' | 'targetUnion'> {
  const number = (): bigint => {
    try {
      return parseInteger(value, { base: 10, signed: true })
    } catch {
      throw invalid(`invalid txn compare request: ${line}`)
    }
  }
  switch (target) {
    case 'ver':
    case 'version':
      return { target: CompareTarget.VERSION, targetUnion: { case: 'version', value: number() } }
    case 'c':
    case 'create':
      return { target: CompareTarget.CREATE, targetUnion: { case: 'createRevision', value: number() } }
    case 'm':
    case 'mod':
      return { target: CompareTarget.MOD, targetUnion: { case: 'modRevision', value: number() } }
    case 'val':
    case 'value':
      return { target: CompareTarget.VALUE, targetUnion: { case: 'value', value: bytesOf(value) } }
    case 'lease':
      // The reference takes the target and then crashes on every value.
      throw new ExitError(ExitCode.BadConnection, 'bad compare value')
    default:
      throw invalid(`malformed comparison: ${line} (unknown target ${target})`)
  }
}

function invalid(text: string): ExitError {
  return new ExitError(ExitCode.InvalidInput, text)
}

interface Scanned {
  readonly key: string
  readonly operator: string
  readonly value: string
  /** All three were there. What follows them is ignored. */
  readonly complete: boolean
}

/** Reads `"KEY") OPERATOR "VALUE"` as far as it goes; blanks must stand around OPERATOR, may stand
 * before the key, and may not stand before `)`. */
function scan(text: string): Scanned {
  const quotedKey = readQuoted(text)
  if (!quotedKey) return { key: '', operator: '', value: '', complete: false }
  const key = quotedKey.value
  const afterKey = quotedKey.rest
  if (!afterKey.startsWith(')')) return { key, operator: '', value: '', complete: false }
  const [, operator = '', afterOperator = ''] = /^[ \t]+([^ \t]+)(.*)$/s.exec(afterKey.slice(1)) ?? []
  const quotedValue = operator === '' ? undefined : readQuoted(afterOperator)
  return { key, operator, value: quotedValue?.value ?? '', complete: quotedValue !== undefined }
}

function readQuoted(text: string): { readonly value: string; readonly rest: string } | undefined {
  const start = text.replace(/^[ \t]+/, '')
  const quoted = unquotePrefix(start)
  return quoted && { value: quoted.value, rest: start.slice(quoted.end) }
}

const WORD = /"(?:[^"\\]|\\.)*"|'[^']*'|[^'"\t\n\f\r ][^\t\n\f\r ]*/g

/**
 * The words of an operation. Double quotes hold Go's escapes. From single quotes as many letters are taken as
 * the line has words, less two: etcdctl has it so, and scripts get the same keys and values from both.
 *
 * @throws ExitError
 */
export function splitWords(line: string): string[] {
  const words = line.match(WORD) ?? []
  return words.map((word) => {
    if (word.startsWith('"')) {
      const quoted = unquotePrefix(word)
      if (!quoted) throw invalid('invalid syntax')
      return quoted.value
    }
    if (!word.startsWith("'")) return word
    const end = words.length - 1
    const bytes = bytesOf(word)
    if (end < 1 || end > bytes.length)
      throw new ExitError(ExitCode.BadConnection, 'slice bounds out of range')
    return textOf(bytes.subarray(1, end))
  })
}
