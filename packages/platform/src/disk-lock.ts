/**
 * One process per folder, without the system's file locks, which Node does not offer.
 *
 * Whoever wants the folder first puts up a mark, an empty file whose name says who it is, and then looks at the marks of
 * others: if one belongs to a live process, it takes its own down and gives up; marks of the dead it removes. Of two that
 * come at the same time at least the later one sees the other's mark, so two never hold the folder (both may give up).
 *
 *     .lock-<pid>-<start>-<boot>-<namespace>
 *
 * pid and start (the process's start time as the system counts it) name a process uniquely until the machine restarts;
 * boot names the start of the machine; namespace the pid namespace, so that containers that share a volume do not take
 * each other's pids for their own. A process of another namespace cannot be looked up: it counts as alive as long as it
 * keeps touching its mark, which every holder does once a second.
 *
 * Not guarded against: two machines that share a network file system.
 */
import { execFileSync } from 'node:child_process'
import {
  closeSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  unlinkSync,
  utimesSync,
} from 'node:fs'
import { join } from 'node:path'
import { DirectoryInUseError, type DirectoryLock, errorCode } from './disk.ts'

const MARK_PREFIX = '.lock-'
const TOUCH_EVERY_MS = 1000
/** A holder in another namespace that has not touched its mark for so long is gone. */
const TOUCH_MISSING_MS = 3500
const POLL_MS = 100
/** The process exists, but when it started cannot be found out. */
const UNKNOWN_START = 'unknown'

interface Identity {
  readonly pid: number
  readonly start: string
  readonly boot: string
  readonly namespace: string
}

/** @see Disk.lockDirectory */
export function lockDirectory(path: string): DirectoryLock {
  const self = ownIdentity()
  const mark = join(path, markName(self))
  try {
    closeSync(openSync(mark, 'wx', 0o600))
  } catch (error) {
    if (errorCode(error) === 'EEXIST') throw new DirectoryInUseError(path, 'this process')
    throw error
  }
  try {
    for (const name of readdirSync(path)) {
      if (!name.startsWith(MARK_PREFIX) || name === markName(self)) continue
      const other = parseMarkName(name)
      if (other !== undefined && isAlive(other, self, join(path, name), mark)) {
        throw new DirectoryInUseError(path, `process ${other.pid}`)
      }
      removeIfPresent(join(path, name))
    }
  } catch (error) {
    removeIfPresent(mark)
    throw error
  }
  const toucher = setInterval(() => touch(mark), TOUCH_EVERY_MS)
  toucher.unref()
  let held = true
  return {
    release() {
      if (!held) return
      held = false
      clearInterval(toucher)
      removeIfPresent(mark)
    },
  }
}

function markName(identity: Identity): string {
  return `${MARK_PREFIX}${identity.pid}-${identity.start}-${identity.boot}-${identity.namespace}`
}

function parseMarkName(name: string): Identity | undefined {
  const [pid, start, boot, namespace] = name.slice(MARK_PREFIX.length).split('-')
  if (pid === undefined || start === undefined || boot === undefined || namespace === undefined)
    return undefined
  return { pid: Number(pid), start, boot, namespace }
}

function ownIdentity(): Identity {
  return {
    pid: process.pid,
    start: startOf(process.pid) ?? UNKNOWN_START,
    boot: firstOf(() =>
      readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').replaceAll(/[^0-9a-f]/g, ''),
    ),
    namespace: firstOf(() => readlinkSync('/proc/self/ns/pid').replaceAll(/[^0-9]/g, '')),
  }
}

/** What the system knows, or `none` where it has no such thing. */
function firstOf(read: () => string): string {
  try {
    return read()
  } catch {
    // Not Linux, or a sandbox without /proc: the start time alone must tell processes apart.
    return 'none'
  }
}

/** When a process started, in the system's own terms; undefined when there is no such process or it has ended. */
function startOf(pid: number): string | undefined {
  let stat: string
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return startByPs(pid)
  }
  // proc(5): the name in parentheses may hold anything; after it come the state (field 3) and, as field 22, the start.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  const state = fields[0]
  return state === 'Z' || state === 'X' ? undefined : fields[19]
}

/** For systems without /proc, and for processes that it hides. */
export function startByPs(pid: number): string | undefined {
  try {
    process.kill(pid, 0)
  } catch (error) {
    if (errorCode(error) === 'ESRCH') return undefined
  }
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], {
      encoding: 'latin1',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).replaceAll(/[^0-9A-Za-z]/g, '')
  } catch {
    // There is no `ps`.
    return UNKNOWN_START
  }
}

function isAlive(other: Identity, self: Identity, mark: string, ownMark: string): boolean {
  if (other.boot !== self.boot) return false
  if (other.namespace !== self.namespace) return isTouched(mark, ownMark)
  const start = startOf(other.pid)
  if (start === undefined) return false
  return start === other.start || start === UNKNOWN_START || other.start === UNKNOWN_START
}

/** Whether the holder of `mark`, whose process cannot be seen, touches it. Both times are of the same file system. */
function isTouched(mark: string, ownMark: string): boolean {
  const seenMs = modifiedMs(mark)
  if (seenMs === undefined) return false
  const leftMs = TOUCH_MISSING_MS - ((modifiedMs(ownMark) ?? seenMs) - seenMs)
  const sleeper = new Int32Array(new SharedArrayBuffer(4))
  for (let waitedMs = 0; waitedMs < leftMs; waitedMs += POLL_MS) {
    Atomics.wait(sleeper, 0, 0, POLL_MS)
    if (modifiedMs(mark) !== seenMs) return modifiedMs(mark) !== undefined
  }
  return false
}

function modifiedMs(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs
}

function touch(path: string): void {
  const now = new Date()
  try {
    utimesSync(path, now, now)
  } catch {
    // The mark is gone: the folder was removed. Whoever uses its files will find out.
  }
}

function removeIfPresent(path: string): void {
  try {
    unlinkSync(path)
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
}
