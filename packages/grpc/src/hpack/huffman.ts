/**
 * The Huffman code of HPACK (RFC 7541, 5.2 and appendix B).
 *
 * The code is canonical: codes are handed out in the order of (length, symbol), each the successor of the one
 * before. The lengths alone therefore define it, and the tables below are computed from them.
 */

/** Bits of each symbol's code; symbol 256 is EOS. */
// prettier-ignore
const codeLengths = [
  13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
  6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
  13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
  15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
  20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
  22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
  26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
  20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
  30,
]

const EOS = 256
const codes = new Uint32Array(EOS + 1)

/**
 * The decoder's machine: a state is a node of the code tree, its input four bits. A cell holds the next state and
 * what the step gave: `state | symbol << 8 | EMITS << 16`, or FAILS when the bits spell EOS. No code is shorter
 * than five bits, so a step gives at most one symbol.
 */
const EMITS = 1 << 16
const FAILS = 1 << 17
const STATE_COUNT = 256
const machine = new Int32Array(STATE_COUNT * 16)
/** States in which the text may end: at most seven bits into a code, all ones (the padding). */
const mayEnd = new Uint8Array(STATE_COUNT)

function assignCodes(): void {
  let code = 0
  for (let length = 5; length <= 30; length++) {
    for (let symbol = 0; symbol <= EOS; symbol++) if (codeLengths[symbol] === length) codes[symbol] = code++
    code *= 2
  }
}

function buildMachine(): void {
  // children[2n + bit]: an inner node, or ~symbol; 0 where nothing has been put yet (the root is nobody's child).
  const children: number[] = [0, 0]
  let nodeCount = 1
  for (let symbol = 0; symbol <= EOS; symbol++) {
    let node = 0
    for (let bit = codeLengths[symbol]! - 1; bit >= 0; bit--) {
      const slot = node * 2 + ((codes[symbol]! >>> bit) & 1)
      if (bit === 0) children[slot] = ~symbol
      else if (children[slot] === 0) {
        children.push(0, 0)
        children[slot] = nodeCount++
      }
      node = children[slot]!
    }
  }
  for (let state = 0; state < nodeCount; state++)
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = state
      let cell = 0
      for (let bit = 3; bit >= 0; bit--) {
        node = children[node * 2 + ((nibble >>> bit) & 1)]!
        if (node >= 0) continue
        cell |= ~node === EOS ? FAILS : EMITS | (~node << 8)
        node = 0
      }
      machine[state * 16 + nibble] = cell | node
    }
  for (let node = 0, depth = 0; depth < 8; depth++) {
    mayEnd[node] = 1
    node = children[node * 2 + 1]!
  }
}

assignCodes()
buildMachine()

/**
 * Decodes `from[start, end)` into `to` at offset 0. `to` must have room for 8 / 5 of the coded length.
 *
 * @returns the number of bytes written, or -1 when the text has a false padding or contains EOS
 */
export function huffmanDecode(from: Uint8Array, start: number, end: number, to: Uint8Array): number {
  let state = 0
  let length = 0
  for (let at = start; at < end; at++) {
    const byte = from[at]!
    let cell = machine[(state << 4) | (byte >>> 4)]!
    if (cell >= EMITS) {
      if (cell >= FAILS) return -1
      to[length++] = cell >>> 8
    }
    cell = machine[((cell & 0xff) << 4) | (byte & 15)]!
    if (cell >= EMITS) {
      if (cell >= FAILS) return -1
      to[length++] = cell >>> 8
    }
    state = cell & 0xff
  }
  return mayEnd[state] === 1 ? length : -1
}

/** Bytes that `text` (one byte a character) takes when coded. */
export function huffmanLength(text: string): number {
  let bits = 0
  for (let i = 0; i < text.length; i++) bits += codeLengths[text.charCodeAt(i) & 0xff]!
  return (bits + 7) >>> 3
}

/** Writes `text` coded; returns the next offset. */
export function huffmanEncode(text: string, to: Uint8Array, at: number): number {
  // At most 7 bits wait here before a code of at most 30 is added: split so that 32-bit arithmetic suffices.
  let waiting = 0
  let bits = 0
  for (let i = 0; i < text.length; i++) {
    const symbol = text.charCodeAt(i) & 0xff
    let left = codeLengths[symbol]!
    const code = codes[symbol]!
    while (left > 0) {
      const take = Math.min(8 - bits, left)
      left -= take
      waiting = (waiting << take) | ((code >>> left) & ((1 << take) - 1))
      bits += take
      if (bits === 8) {
        to[at++] = waiting
        waiting = 0
        bits = 0
      }
    }
  }
  if (bits > 0) to[at++] = (waiting << (8 - bits)) | ((1 << (8 - bits)) - 1)
  return at
}
