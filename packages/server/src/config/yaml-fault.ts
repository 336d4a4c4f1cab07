import type { YAMLParseError } from 'yaml'

interface Fault {
  readonly reason: string
  /** The part of etcd's reader that would find it: the scanner names lines from one, the parser from zero. */
  readonly by: 'scanner' | 'parser'
  readonly offset: number
}

/**
 * The text that etcd's YAML reader has for a fault, in so far as it can be told from the codes of ours.
 * Line zero is left out, as etcd's reader does.
 */
export function yamlFault(errors: readonly YAMLParseError[], text: string): string {
  const { reason, by, offset } = faultOf(errors, text)
  const line = text.slice(0, offset).split('\n').length - 1
  // For the parser, the end of a text without a final newline is the start of the next line.
  const atEnd = by === 'parser' && offset >= text.length && !text.endsWith('\n')
  const shown = atEnd || (by === 'scanner' && line > 0) ? line + 1 : line
  return `error converting YAML to JSON: yaml: ${shown === 0 ? '' : `line ${shown}: `}${reason}`
}

function faultOf(errors: readonly YAMLParseError[], text: string): Fault {
  const byCode = new Map(errors.map((error) => [error.code, error]))
  const [first] = errors
  const offset = first?.pos[0] ?? 0
  if (byCode.has('UNEXPECTED_TOKEN')) return { reason: 'did not find expected key', by: 'parser', offset }
  switch (first?.code) {
    case 'BLOCK_AS_IMPLICIT_KEY':
    case 'MULTILINE_IMPLICIT_KEY': {
      const end = byCode.get('MULTILINE_IMPLICIT_KEY')?.pos[1] ?? offset
      return { reason: 'mapping values are not allowed in this context', by: 'scanner', offset: end }
    }
    case 'TAB_AS_INDENT': {
      const reason =
        offset === 0
          ? 'found character that cannot start any token'
          : 'found a tab character that violates indentation'
      return { reason, by: 'scanner', offset }
    }
    case 'BAD_SCALAR_START':
      return { reason: 'found character that cannot start any token', by: 'scanner', offset }
    case 'MISSING_CHAR':
      if (first.message.includes('quote'))
        return { reason: 'found unexpected end of stream', by: 'scanner', offset }
      break
    case 'BAD_INDENT': {
      const opened = /[[{][^\]}]*$/.exec(text)?.[0][0]
      if (opened === undefined) break
      return { reason: `did not find expected ',' or '${opened === '[' ? ']' : '}'}'`, by: 'parser', offset }
    }
    default:
  }
  const reason = first?.message.split('\n', 1)[0]?.replace(/ at line \d+, column \d+:?$/, '') ?? 'not YAML'
  return { reason, by: 'parser', offset }
}
