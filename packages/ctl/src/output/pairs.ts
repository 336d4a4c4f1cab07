import type { mvccpb } from '@etcd-ts/api'

const NEWLINE = Buffer.from('\n')

export interface PairOptions {
  /** Each byte as `\xNN`. */
  readonly hex: boolean
  /** Without the keys. */
  readonly valuesOnly?: boolean
}

/** Keys and values in the simple format: each on a line of its own. */
export function pairLines(
  pairs: readonly mvccpb.KeyValue[],
  { hex, valuesOnly = false }: PairOptions,
): Uint8Array {
  const parts: Uint8Array[] = []
  const add = (bytes: Uint8Array): void => {
    parts.push(hex ? hexBytes(bytes) : bytes, NEWLINE)
  }
  for (const { key, value } of pairs) {
    if (!valuesOnly) add(key)
    add(value)
  }
  return Buffer.concat(parts)
}

function hexBytes(bytes: Uint8Array): Uint8Array {
  const digits = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex')
  return Buffer.from(digits.replace(/../g, '\\x$&'), 'latin1')
}
