import { basename, dirname, resolve } from 'node:path/posix'
import {
  type Clock,
  DirectoryInUseError,
  type DirectoryLock,
  type Disk,
  type DiskFile,
  type FileStat,
  type OpenMode,
  type Random,
} from '@etcd-ts/platform'

/** The unit that a disk writes whole. */
const SECTOR_BYTES = 512

/** The simulated process or machine is gone: nothing that a call on its behalf does takes effect any more. */
export class SimCrashError extends Error {
  override readonly name = 'SimCrashError'
}

/** A call of the disk, as fault injection sees it. */
export interface SimDiskCall {
  /** 1 for the first call of this process. */
  readonly number: number
  readonly operation: SimDiskOperation
  readonly path: string
}

export type SimDiskOperation =
  | 'open'
  | 'read'
  | 'write'
  | 'truncate'
  | 'datasync'
  | 'syncDirectory'
  | 'makeDirectory'
  | 'removeDirectory'
  | 'rename'
  | 'unlink'
  | 'chmod'

/** What goes wrong with a call. */
export type SimDiskFault =
  /** It fails. A write has done `doneBytes` of its work, other calls none. */
  | { readonly code: 'EIO' | 'ENOSPC' | 'EACCES' | 'EMFILE' | 'EROFS'; readonly doneBytes?: number }
  /** A sync takes as long as this. */
  | { readonly latencyMs: number }
  /** A sync says that it is done and did nothing. */
  | { readonly lies: true }

export interface SimDiskOptions {
  /** Needed for faults with latency. */
  readonly clock?: Clock
  /** Bytes that all files together may hold; without limit unless given. */
  readonly capacityBytes?: number
}

export interface SimCrashOptions {
  /** Whether the bytes of a sector that were to change may be anything at all afterwards. */
  readonly garbage?: boolean
}

interface DirtySector {
  /** What the disk surely held: the sector as it was when last synced. */
  old: Uint8Array
  changedAt: number
}

class SimInode {
  bytes = new Uint8Array(0)
  size = 0
  durableSize = 0
  permissions: number
  /** Sectors written since they were synced. */
  readonly dirty = new Map<number, DirtySector>()
  changes = 0
  writtenInBoot = 0

  constructor(permissions: number) {
    this.permissions = permissions
  }
}

class SimFolder {
  permissions: number
  names = new Map<string, SimNode>()
  /** The names that survive a loss of power. */
  durableNames = new Map<string, SimNode>()

  constructor(permissions: number) {
    this.permissions = permissions
  }
}

type SimNode = SimInode | SimFolder

/** Names made, moved or removed by one call, which a loss of power undoes as a whole or not at all. */
type NameChange = readonly (readonly [folder: SimFolder, name: string, node: SimNode | undefined])[]

/** What outlives processes. */
interface SimMachine {
  readonly root: SimFolder
  unsyncedNames: NameChange[]
  usedBytes: number
  boot: number
  readonly locks: Map<string, SimDisk>
}

/**
 * A disk in memory that loses what a real one may lose.
 *
 * A write is volatile until the file is synced: at a crash of the machine each 512-byte sector written since holds the new
 * bytes, the old ones, the first part of the new ones, or (asked for) anything, in place of the bytes that were to change:
 * those that stay the same are not in danger. A file's size is volatile as well, and names that were made, moved or removed
 * are until the folder is synced, each change on its own. The end of a process loses nothing.
 *
 * One object is the disk as one process sees it. `crash` and `kill` end that process: every later call on its behalf throws
 * `SimCrashError`, and the disk for the next process is what they return. A seed and the sequence of calls decide all.
 */
export class SimDisk implements Disk {
  readonly #machine: SimMachine
  readonly #options: SimDiskOptions
  #isDead = false
  #calls = 0
  #crashAtCall = Infinity
  #faultFor: ((call: SimDiskCall) => SimDiskFault | undefined) | undefined

  constructor(options: SimDiskOptions = {}, machine: SimMachine = newMachine()) {
    this.#options = options
    this.#machine = machine
  }

  /** How many calls this process has made, failed ones included. */
  get calls(): number {
    return this.#calls
  }

  /** Bytes that all files hold. */
  get usedBytes(): number {
    return this.#machine.usedBytes
  }

  /** Lets the process die with the `call`-th call, counted from 1: it takes effect, as far as it does, and throws. */
  crashAtCall(call: number): void {
    this.#crashAtCall = call
  }

  /** Asks `faultFor` at each call what goes wrong with it; undefined for nothing. */
  injectFaults(faultFor: ((call: SimDiskCall) => SimDiskFault | undefined) | undefined): void {
    this.#faultFor = faultFor
  }

  /** Ends the process as SIGKILL does. @returns the disk for the next one */
  kill(): SimDisk {
    this.#isDead = true
    for (const [path, holder] of this.#machine.locks) if (holder === this) this.#machine.locks.delete(path)
    return new SimDisk(this.#options, this.#machine)
  }

  /** Ends the process by a loss of power. @returns the disk after the restart of the machine */
  crash(random: Random, options: SimCrashOptions = {}): SimDisk {
    const machine = this.#machine
    for (const change of machine.unsyncedNames) {
      if (random.below(2) === 0) makeDurable(change)
    }
    machine.unsyncedNames = []
    machine.usedBytes = 0
    const seen = new Set<SimNode>()
    const visit = (node: SimNode): void => {
      if (seen.has(node)) return
      seen.add(node)
      if (node instanceof SimFolder) {
        node.names = new Map(node.durableNames)
        for (const child of node.names.values()) visit(child)
      } else {
        loseSectors(node, random, options.garbage === true)
        machine.usedBytes += node.size
      }
    }
    visit(machine.root)
    machine.boot++
    return this.kill()
  }

  /** Changes a byte at rest, as a decaying disk would: nothing counts as written. */
  damage(path: string, position: number, change: (byte: number) => number): void {
    const inode = this.#file(path)
    if (position >= inode.size) throw new RangeError(`${path} has no byte ${position}`)
    inode.bytes[position] = change(inode.bytes[position]!)
    const dirty = inode.dirty.get(Math.floor(position / SECTOR_BYTES))
    if (dirty !== undefined) dirty.old[position % SECTOR_BYTES] = change(dirty.old[position % SECTOR_BYTES]!)
  }

  open(path: string, mode: OpenMode, permissions = 0o600): DiskFile {
    return this.#call('open', path, () => {
      const [folder, name] = this.#place(path)
      let node = folder.names.get(name)
      if (node instanceof SimFolder) throw failure('EISDIR', path)
      if (node !== undefined && mode === 'create') throw failure('EEXIST', path)
      if (node === undefined) {
        if (mode === 'read' || mode === 'write') throw failure('ENOENT', path)
        node = new SimInode(permissions)
        this.#changeNames([[folder, name, node]])
      } else if (mode === 'replace') {
        this.#resize(node, 0)
      }
      return this.#openFile(path, node)
    })
  }

  readFile(path: string): Uint8Array {
    return this.#call('read', path, () => {
      const inode = this.#file(path)
      return inode.bytes.slice(0, inode.size)
    })
  }

  writeFile(path: string, bytes: Uint8Array, permissions = 0o600): void {
    const file = this.open(path, 'replace', permissions)
    file.writeAt(bytes, 0)
    file.close()
  }

  stat(path: string): FileStat | undefined {
    this.#checkAlive()
    const node = this.#find(path)
    if (node === undefined) return undefined
    return node instanceof SimFolder
      ? { kind: 'directory', sizeBytes: 0, permissions: node.permissions }
      : { kind: 'file', sizeBytes: node.size, permissions: node.permissions }
  }

  exists(path: string): boolean {
    this.#checkAlive()
    return this.#find(path) !== undefined
  }

  list(path: string): string[] {
    return this.#call('read', path, () => [...this.#folder(path).names.keys()].sort())
  }

  makeDirectory(path: string, permissions = 0o700): void {
    this.#call('makeDirectory', path, () => {
      let folder = this.#machine.root
      for (const name of partsOf(path)) {
        let next = folder.names.get(name)
        if (next === undefined) {
          next = new SimFolder(permissions)
          this.#changeNames([[folder, name, next]])
        }
        if (!(next instanceof SimFolder)) throw failure('ENOTDIR', path)
        folder = next
      }
    })
  }

  removeDirectory(path: string): void {
    this.#call('removeDirectory', path, () => {
      if (this.#folder(path).names.size > 0) throw failure('ENOTEMPTY', path)
      const [folder, name] = this.#place(path)
      this.#changeNames([[folder, name, undefined]])
    })
  }

  rename(from: string, to: string): void {
    this.#call('rename', from, () => {
      const [fromFolder, fromName] = this.#place(from)
      const [toFolder, toName] = this.#place(to)
      const node = fromFolder.names.get(fromName)
      if (node === undefined) throw failure('ENOENT', from)
      const there = toFolder.names.get(toName)
      if (there instanceof SimFolder && there.names.size > 0) throw failure('ENOTEMPTY', to)
      if (there !== undefined && there instanceof SimFolder !== node instanceof SimFolder)
        throw failure('EISDIR', to)
      if (there instanceof SimInode) this.#machine.usedBytes -= there.size
      this.#changeNames([
        [fromFolder, fromName, undefined],
        [toFolder, toName, node],
      ])
    })
  }

  unlink(path: string): void {
    this.#call('unlink', path, () => {
      this.#machine.usedBytes -= this.#file(path).size
      const [folder, name] = this.#place(path)
      this.#changeNames([[folder, name, undefined]])
    })
  }

  chmod(path: string, permissions: number): void {
    this.#call('chmod', path, () => {
      const node = this.#find(path)
      if (node === undefined) throw failure('ENOENT', path)
      node.permissions = permissions
    })
  }

  async syncDirectory(path: string): Promise<void> {
    const changes = this.#callSync('syncDirectory', path, () => this.#unsyncedNamesOf(path))
    await this.#whenSynced(changes.fault)
    if (!isLie(changes.fault)) this.#makeNamesDurable(changes.value)
  }

  syncDirectoryNow(path: string): void {
    const changes = this.#callSync('syncDirectory', path, () => this.#unsyncedNamesOf(path))
    if (!isLie(changes.fault)) this.#makeNamesDurable(changes.value)
  }

  mayHaveLostPower(path: string): boolean {
    return this.#file(path).writtenInBoot < this.#machine.boot
  }

  lockDirectory(path: string): DirectoryLock {
    this.#checkAlive()
    const key = resolve(path)
    const holder = this.#machine.locks.get(key)
    if (holder !== undefined)
      throw new DirectoryInUseError(path, holder === this ? 'this process' : 'another process')
    this.#folder(path)
    this.#machine.locks.set(key, this)
    return {
      release: () => {
        if (this.#machine.locks.get(key) === this) this.#machine.locks.delete(key)
      },
    }
  }

  #openFile(path: string, inode: SimInode): DiskFile {
    let isClosed = false
    const whenOpen = (): SimInode => {
      this.#checkAlive()
      if (isClosed) throw failure('EBADF', path)
      return inode
    }
    return {
      path,
      size: () => whenOpen().size,
      readAt: (out, position) =>
        this.#call('read', path, () => {
          const { bytes, size } = whenOpen()
          const count = Math.max(0, Math.min(out.length, size - position))
          out.set(bytes.subarray(position, position + count))
          return count
        }),
      writeAt: (bytes, position) => this.#writeFile(path, whenOpen(), bytes, position),
      writeManyAt: (pieces, position) => this.#writeFile(path, whenOpen(), Buffer.concat(pieces), position),
      truncate: (sizeBytes) => this.#call('truncate', path, () => this.#resize(whenOpen(), sizeBytes)),
      datasync: async () => {
        const { value: state, fault } = this.#callSync('datasync', path, () => captureState(whenOpen()))
        await this.#whenSynced(fault)
        if (!isLie(fault)) makeStateDurable(inode, state)
      },
      datasyncNow: () => {
        const { value: state, fault } = this.#callSync('datasync', path, () => captureState(whenOpen()))
        if (!isLie(fault)) makeStateDurable(inode, state)
      },
      close: () => {
        isClosed = true
      },
    }
  }

  #writeFile(path: string, inode: SimInode, bytes: Uint8Array, position: number): void {
    const { capacityBytes = Infinity } = this.#options
    const free = capacityBytes - this.#machine.usedBytes + Math.max(0, inode.size - position)
    const room = Math.max(0, Math.min(bytes.length, free))
    this.#call(
      'write',
      path,
      () => {
        this.#write(inode, bytes.subarray(0, room), position)
        if (room < bytes.length) throw failure('ENOSPC', path)
      },
      (doneBytes) => this.#write(inode, bytes.subarray(0, Math.min(room, doneBytes)), position),
    )
  }

  #checkAlive(): void {
    if (this.#isDead) throw new SimCrashError('the process of this disk has ended')
  }

  /** Counts a call, lets it fail if it is to fail, and ends the process behind it if it is to end. */
  #call<T>(
    operation: SimDiskOperation,
    path: string,
    run: () => T,
    runPartly?: (doneBytes: number) => void,
  ): T {
    return this.#callSync(operation, path, run, runPartly).value
  }

  #callSync<T>(
    operation: SimDiskOperation,
    path: string,
    run: () => T,
    runPartly?: (doneBytes: number) => void,
  ): { value: T; fault: SimDiskFault | undefined } {
    this.#checkAlive()
    const number = ++this.#calls
    const fault = this.#faultFor?.({ number, operation, path })
    if (fault !== undefined && 'code' in fault) {
      runPartly?.(fault.doneBytes ?? 0)
      throw failure(fault.code, path)
    }
    if (number < this.#crashAtCall) return { value: run(), fault }
    try {
      run()
    } catch {
      // Whether it would have failed as well is no longer of interest.
    }
    this.#isDead = true
    throw new SimCrashError(`the process ended with call ${number}, ${operation} ${path}`)
  }

  async #whenSynced(fault: SimDiskFault | undefined): Promise<void> {
    if (fault !== undefined && 'latencyMs' in fault) {
      if (this.#options.clock === undefined) throw new Error('a disk with latency needs a clock')
      await this.#options.clock.sleep(fault.latencyMs)
    } else {
      await Promise.resolve()
    }
    this.#checkAlive()
  }

  #find(path: string): SimNode | undefined {
    let node: SimNode | undefined = this.#machine.root
    for (const name of partsOf(path)) {
      if (!(node instanceof SimFolder)) return undefined
      node = node.names.get(name)
    }
    return node
  }

  #folder(path: string): SimFolder {
    const node = this.#find(path)
    if (node === undefined) throw failure('ENOENT', path)
    if (!(node instanceof SimFolder)) throw failure('ENOTDIR', path)
    return node
  }

  #file(path: string): SimInode {
    const node = this.#find(path)
    if (node === undefined) throw failure('ENOENT', path)
    if (node instanceof SimFolder) throw failure('EISDIR', path)
    return node
  }

  #place(path: string): [folder: SimFolder, name: string] {
    const whole = resolve(path)
    return [this.#folder(dirname(whole)), basename(whole)]
  }

  #changeNames(change: NameChange): void {
    for (const [folder, name, node] of change) {
      if (node === undefined) folder.names.delete(name)
      else folder.names.set(name, node)
    }
    this.#machine.unsyncedNames.push(change)
  }

  #unsyncedNamesOf(path: string): NameChange[] {
    const folder = this.#folder(path)
    return this.#machine.unsyncedNames.filter((change) => change.some(([changed]) => changed === folder))
  }

  #makeNamesDurable(changes: readonly NameChange[]): void {
    const synced = new Set(changes)
    for (const change of changes) makeDurable(change)
    this.#machine.unsyncedNames = this.#machine.unsyncedNames.filter((change) => !synced.has(change))
  }

  #write(inode: SimInode, bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return
    const end = position + bytes.length
    if (end > inode.size) this.#resize(inode, end)
    touch(inode, position, end)
    inode.bytes.set(bytes, position)
    inode.writtenInBoot = this.#machine.boot
  }

  #resize(inode: SimInode, size: number): void {
    if (size < inode.size) {
      touch(inode, size, inode.size)
      inode.bytes.fill(0, size, inode.size)
    } else if (size > inode.bytes.length) {
      const larger = new Uint8Array(Math.max(size, inode.bytes.length * 2, 4096))
      larger.set(inode.bytes)
      inode.bytes = larger
    }
    this.#machine.usedBytes += size - inode.size
    inode.size = size
    inode.changes++
    inode.writtenInBoot = this.#machine.boot
  }
}

function newMachine(): SimMachine {
  return { root: new SimFolder(0o755), unsyncedNames: [], usedBytes: 0, boot: 0, locks: new Map() }
}

function partsOf(path: string): string[] {
  return resolve('/', path)
    .split('/')
    .filter((part) => part !== '')
}

function failure(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code })
}

function isLie(fault: SimDiskFault | undefined): boolean {
  return fault !== undefined && 'lies' in fault
}

function makeDurable(change: NameChange): void {
  for (const [folder, name, node] of change) {
    if (node === undefined) folder.durableNames.delete(name)
    else folder.durableNames.set(name, node)
  }
}

function sectorOf(inode: SimInode, sector: number): Uint8Array {
  const copy = new Uint8Array(SECTOR_BYTES)
  copy.set(inode.bytes.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES))
  return copy
}

/** Notes that `[start, end)` is about to change. */
function touch(inode: SimInode, start: number, end: number): void {
  inode.changes++
  for (let sector = Math.floor(start / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
    const dirty = inode.dirty.get(sector)
    if (dirty === undefined)
      inode.dirty.set(sector, { old: sectorOf(inode, sector), changedAt: inode.changes })
    else dirty.changedAt = inode.changes
  }
}

interface FileState {
  readonly size: number
  readonly changes: number
  readonly sectors: ReadonlyMap<number, Uint8Array>
}

/** What a sync that begins now will have made durable when it ends. */
function captureState(inode: SimInode): FileState {
  const sectors = new Map<number, Uint8Array>()
  for (const sector of inode.dirty.keys()) sectors.set(sector, sectorOf(inode, sector))
  return { size: inode.size, changes: inode.changes, sectors }
}

function makeStateDurable(inode: SimInode, state: FileState): void {
  inode.durableSize = state.size
  for (const [sector, bytes] of state.sectors) {
    const dirty = inode.dirty.get(sector)
    if (dirty === undefined) continue
    if (dirty.changedAt <= state.changes) inode.dirty.delete(sector)
    else dirty.old = bytes
  }
}

/** Decides for each sector that was not synced, and for the size, what the disk holds after a loss of power. */
function loseSectors(inode: SimInode, random: Random, garbage: boolean): void {
  // Besides any mixture, the likely outcomes: everything was written, nothing was, the first part was.
  const style = random.below(5)
  const sectors = [...inode.dirty.keys()].sort((a, b) => a - b)
  const kept = style === 0 ? sectors.length : style === 1 ? 0 : random.below(sectors.length + 1)
  sectors.forEach((sector, i) => {
    const old = inode.dirty.get(sector)!.old
    const at = sector * SECTOR_BYTES
    const place = inode.bytes.subarray(at, Math.min(at + SECTOR_BYTES, inode.bytes.length))
    const fate = style <= 2 ? (i < kept ? 0 : 1) : random.below(garbage ? 7 : 6)
    if (fate === 0 || fate === 2 || fate === 3) return
    if (fate === 6) {
      const noise = random.bytes(place.length)
      for (let i = 0; i < place.length; i++) if (place[i] !== old[i]) place[i] = noise[i]!
    } else {
      const cut = fate === 5 ? random.below(SECTOR_BYTES) : 0
      place.set(old.subarray(cut, place.length), Math.min(cut, place.length))
    }
  })
  inode.dirty.clear()
  const sizes = [inode.size, inode.durableSize]
  const [low, high] = [Math.min(...sizes), Math.max(...sizes)]
  const fate = style === 0 ? 0 : random.below(3)
  const size = fate === 0 ? inode.size : fate === 1 ? inode.durableSize : low + random.below(high - low + 1)
  if (inode.bytes.length < size) {
    const larger = new Uint8Array(size)
    larger.set(inode.bytes)
    inode.bytes = larger
  }
  inode.bytes.fill(0, size)
  inode.size = size
  inode.durableSize = size
}
