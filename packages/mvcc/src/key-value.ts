/**
 * The value of a row in the bucket `key`: an encoded mvccpb.KeyValue. It is stored, sent to clients and hashed as
 * these bytes, so they are written in one way only, as etcd writes them: fields in ascending number, defaults left out.
 *
 *     0a len key · 10 create_revision · 18 mod_revision · 20 version · 2a len value · 30 lease
 *
 * Of a deletion it has the key alone.
 */

const KEY_TAG = 0x0a
const CREATE_TAG = 0x10
const MOD_TAG = 0x18
const VERSION_TAG = 0x20
const VALUE_TAG = 0x2a
const LEASE_TAG = 0x30
const TWO_28 = 0x1000_0000

/** The bytes are not a KeyValue. */
export class KeyValueError extends Error {
  override readonly name = 'KeyValueError'
}

function sizeOf(value: number): number {
  let size = 1
  for (; value >= TWO_28; value = Math.floor(value / TWO_28)) size += 4
  for (; value >= 0x80; value >>>= 7) size++
  return size
}

function write(out: Uint8Array, at: number, value: number): number {
  for (; value >= TWO_28; value = Math.floor(value / 0x80)) out[at++] = (value % 0x80) | 0x80
  for (; value >= 0x80; value >>>= 7) out[at++] = (value & 0x7f) | 0x80
  out[at++] = value
  return at
}

function leaseSizeOf(lease: bigint): number {
  let size = 1
  for (let rest = BigInt.asUintN(64, lease); rest >= 0x80n; rest >>= 7n) size++
  return size
}

function writeLease(out: Uint8Array, at: number, lease: bigint): number {
  let rest = BigInt.asUintN(64, lease)
  for (; rest >= 0x80n; rest >>= 7n) out[at++] = Number(rest & 0x7fn) | 0x80
  out[at++] = Number(rest)
  return at
}

function bytesSize(length: number): number {
  return length === 0 ? 0 : 1 + sizeOf(length) + length
}

/** Bytes of a KeyValue. */
export function keyValueSize(
  keyLength: number,
  created: number,
  main: number,
  version: number,
  valueLength: number,
  lease: bigint,
): number {
  const numbers = 3 + sizeOf(created) + sizeOf(main) + sizeOf(version)
  return bytesSize(keyLength) + numbers + bytesSize(valueLength) + (lease === 0n ? 0 : 1 + leaseSizeOf(lease))
}

/** Writes a KeyValue of `keyValueSize` bytes to `out` at `at`; created, main and version are above 0. */
export function writeKeyValue(
  out: Uint8Array,
  at: number,
  key: Uint8Array,
  created: number,
  main: number,
  version: number,
  value: Uint8Array,
  lease: bigint,
): void {
  at = writeBytes(out, at, KEY_TAG, key)
  out[at++] = CREATE_TAG
  at = write(out, at, created)
  out[at++] = MOD_TAG
  at = write(out, at, main)
  out[at++] = VERSION_TAG
  at = write(out, at, version)
  at = writeBytes(out, at, VALUE_TAG, value)
  if (lease === 0n) return
  out[at++] = LEASE_TAG
  writeLease(out, at, lease)
}

/** Copying a short key byte by byte is faster than a call of `set`. */
const SHORT_BYTES = 48

function writeBytes(out: Uint8Array, at: number, tag: number, bytes: Uint8Array): number {
  const { length } = bytes
  if (length === 0) return at
  out[at++] = tag
  at = write(out, at, length)
  if (length <= SHORT_BYTES) for (let i = 0; i < length; i++) out[at + i] = bytes[i]!
  else out.set(bytes, at)
  return at + length
}

/** Bytes of what a deletion stores. */
export function tombstoneSize(keyLength: number): number {
  return bytesSize(keyLength)
}

/** Writes what a deletion stores, `tombstoneSize` bytes. */
export function writeTombstone(out: Uint8Array, at: number, key: Uint8Array): void {
  writeBytes(out, at, KEY_TAG, key)
}

/** The KeyValue of a deletion as a watcher sees it: the key and the revision that deleted it. */
export function deletedKeyValue(key: Uint8Array, main: number): Uint8Array {
  const out = new Uint8Array(bytesSize(key.length) + 1 + sizeOf(main))
  const at = writeBytes(out, 0, KEY_TAG, key)
  out[at] = MOD_TAG
  write(out, at + 1, main)
  return out
}

/** Reads KeyValues, one after the other: `read` sets the fields to those of the one it is given. */
export class KeyValueReader {
  #bytes: Uint8Array = new Uint8Array(0)
  #at = 0
  #end = 0
  keyAt = 0
  keyLength = 0
  createRevision = 0
  modRevision = 0
  version = 0
  valueAt = 0
  valueLength = 0
  lease = 0n

  /** @throws KeyValueError when `bytes` are not a KeyValue */
  read(bytes: Uint8Array): void {
    this.#bytes = bytes
    this.#at = 0
    this.#end = bytes.length
    this.keyAt = this.keyLength = this.valueAt = this.valueLength = 0
    this.createRevision = this.modRevision = this.version = 0
    this.lease = 0n
    while (this.#at < this.#end) this.#readField(bytes[this.#at++]!)
  }

  /** Reads the key alone, which comes first; a row without a value has an empty one. */
  readKey(bytes: Uint8Array): void {
    this.#bytes = bytes
    this.#at = 1
    this.#end = bytes.length
    this.keyAt = this.keyLength = 0
    if (bytes[0] !== KEY_TAG) return
    this.keyLength = this.#length()
    this.keyAt = this.#at
  }

  #readField(tag: number): void {
    switch (tag) {
      case KEY_TAG:
        this.keyLength = this.#length()
        this.keyAt = this.#at
        this.#at += this.keyLength
        return
      case CREATE_TAG:
        this.createRevision = this.#number()
        return
      case MOD_TAG:
        this.modRevision = this.#number()
        return
      case VERSION_TAG:
        this.version = this.#number()
        return
      case VALUE_TAG:
        this.valueLength = this.#length()
        this.valueAt = this.#at
        this.#at += this.valueLength
        return
      case LEASE_TAG:
        this.lease = this.#lease()
        return
      default:
        throw new KeyValueError(`not a key-value pair: a field with the tag ${tag}`)
    }
  }

  #number(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < 8; i++) {
      const byte = this.#byte()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
      scale *= 0x80
    }
    throw new KeyValueError('not a key-value pair: a revision or version out of range')
  }

  #length(): number {
    const length = this.#number()
    if (length > this.#end - this.#at) throw new KeyValueError('not a key-value pair: cut off')
    return length
  }

  #lease(): bigint {
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asIntN(64, value)
    }
    throw new KeyValueError('not a key-value pair: a lease out of range')
  }

  #byte(): number {
    if (this.#at >= this.#end) throw new KeyValueError('not a key-value pair: cut off')
    return this.#bytes[this.#at++]!
  }

  /** A copy of what was read last without its value. */
  withoutValue(): Uint8Array {
    const bytes = this.#bytes
    if (this.valueLength === 0) return bytes
    const valueEnd = this.valueAt + this.valueLength
    const tagAt = this.valueAt - sizeOf(this.valueLength) - 1
    const out = new Uint8Array(tagAt + bytes.length - valueEnd)
    out.set(bytes.subarray(0, tagAt))
    out.set(bytes.subarray(valueEnd), tagAt)
    return out
  }
}
