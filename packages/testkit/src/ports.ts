import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Scope, freeAfter } from './scope.ts'

// Below the range from which systems take the ports of outgoing connections (32768 and up on Linux, 49152 on macOS).
const FIRST_PORT = 20_000
const LAST_PORT = 31_999
// Blocks of ports lie below the single ones.
const BLOCK = 100
const FIRST_BLOCK = 12_000
const LOCKS = join(tmpdir(), 'etcd-ts-ports')

let next = FIRST_PORT + ((process.pid * 37) % (LAST_PORT - FIRST_PORT))

/**
 * Reserves loopback TCP ports until the end of `scope`, for servers that are told their port before they open it.
 *
 * Test files run in processes of their own at the same time, so asking the system for a free port and closing it again
 * would hand one port to two of them: each port is also locked by a file that holds the owner's process id.
 */
export async function reservePorts(scope: Scope, count: number): Promise<number[]> {
  const ports: number[] = []
  for (let i = 0; i < count; i++) ports.push(await reservePort(scope))
  return ports
}

/** Reserves one port, as `reservePorts` does. */
export async function reservePort(scope: Scope): Promise<number> {
  mkdirSync(LOCKS, { recursive: true })
  for (let tried = 0; tried <= LAST_PORT - FIRST_PORT; tried++) {
    const port = next
    next = next === LAST_PORT ? FIRST_PORT : next + 1
    if (!lock(port)) continue
    freeAfter(scope, () => rmSync(lockPath(port), { force: true }))
    if (await isFree(port)) return port
  }
  throw new Error('no free port left')
}

/**
 * Reserves 100 ports in a row, for programs that number their ports themselves.
 * @returns the first of them
 */
export async function reservePortBlock(scope: Scope): Promise<number> {
  for (let port = FIRST_PORT - BLOCK; port >= FIRST_BLOCK; port -= BLOCK) {
    if (!lock(port)) continue
    freeAfter(scope, () => rmSync(lockPath(port), { force: true }))
    if (await isFree(port)) return port
  }
  throw new Error('no free block of ports left')
}

function lockPath(port: number): string {
  return join(LOCKS, String(port))
}

function lock(port: number): boolean {
  const path = lockPath(port)
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(path, String(process.pid), { flag: 'wx' })
      return true
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error
    }
    if (isOwned(path)) return false
    rmSync(path, { force: true })
  }
  return false
}

/** Whether the process that wrote the lock file is still there. */
function isOwned(path: string): boolean {
  try {
    // An owner that has made the file and not yet written its id counts as there.
    const pid = Number(readFileSync(path, 'utf8') || process.pid)
    process.kill(pid, 0)
    return true
  } catch (error) {
    return codeOf(error) === 'EPERM'
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)))
  })
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
