/**
 * Keys of the rows in the bucket `key`, big-endian so that bytes order them as numbers do:
 *
 *     0   8 bytes   main: the store's revision that the change belongs to
 *     8   1 byte    '_'
 *     9   8 bytes   sub: place of the change within that revision
 *    17   1 byte    't', for a deletion only
 */

export const REVISION_BYTES = 17
export const TOMBSTONE_BYTES = 18
const SEPARATOR = 0x5f
const TOMBSTONE = 0x74
const TWO_32 = 4_294_967_296

/** The row key is not one, so what the row says is not known either. */
export class RevisionKeyError extends Error {
  override readonly name = 'RevisionKeyError'
}

/** Writes the key of the revision (main, sub) to `out` at `at`; REVISION_BYTES long. */
export function writeRevisionKey(out: Uint8Array, at: number, main: number, sub: number): void {
  writeUint32(out, at, Math.floor(main / TWO_32))
  writeUint32(out, at + 4, main >>> 0)
  out[at + 8] = SEPARATOR
  writeUint32(out, at + 9, 0)
  writeUint32(out, at + 13, sub)
}

/** Writes the key of the deletion (main, sub); TOMBSTONE_BYTES long. */
export function writeTombstoneKey(out: Uint8Array, at: number, main: number, sub: number): void {
  writeRevisionKey(out, at, main, sub)
  out[at + REVISION_BYTES] = TOMBSTONE
}

/** The key of (main, sub), on its own. */
export function revisionKey(main: number, sub = 0): Uint8Array {
  const key = new Uint8Array(REVISION_BYTES)
  writeRevisionKey(key, 0, main, sub)
  return key
}

/** @throws RevisionKeyError when `key` is not a revision */
export function checkRevisionKey(key: Uint8Array): void {
  const { length } = key
  if (
    key[8] !== SEPARATOR ||
    (length !== REVISION_BYTES && (length !== TOMBSTONE_BYTES || key[REVISION_BYTES] !== TOMBSTONE)) ||
    key[0]! * 256 + key[1]! >= 0x20 || // not a safe integer, or negative
    readUint32(key, 9) !== 0
  ) {
    throw new RevisionKeyError(`not the key of a revision: ${Buffer.from(key).toString('hex')}`)
  }
}

/** `main` of a checked key. */
export function readMain(key: Uint8Array): number {
  return readUint32(key, 0) * TWO_32 + readUint32(key, 4)
}

/** `sub` of a checked key. */
export function readSub(key: Uint8Array): number {
  return readUint32(key, 13)
}

/** Whether a checked key says that its row is a deletion. */
export function isTombstoneKey(key: Uint8Array): boolean {
  return key.length === TOMBSTONE_BYTES
}

function writeUint32(out: Uint8Array, at: number, value: number): void {
  out[at] = value >>> 24
  out[at + 1] = value >>> 16
  out[at + 2] = value >>> 8
  out[at + 3] = value
}

function readUint32(bytes: Uint8Array, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0
}
