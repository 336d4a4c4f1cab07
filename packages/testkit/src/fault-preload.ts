// Loaded with `node --import` into a process under test, before the program and in each of its worker threads. It wraps
// the functions of node:fs and asks the folder TESTKIT_FAULTS (see fault-injector.ts) before every call.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import type { Fault, FaultCall } from './fault-injector.ts'

const folder = process.env['TESTKIT_FAULTS']
if (folder !== undefined) await install(folder)

type Callback = (error: Error) => void
type AnyFunction = (...args: unknown[]) => unknown

async function install(root: string): Promise<void> {
  const active = join(root, 'active')
  const journal = join(root, 'journal')
  const original = { ...fs }
  const handle = await fs.promises.open(process.execPath)
  const handlePrototype = Object.getPrototypeOf(handle) as object
  await handle.close()
  const paths = new Map<number, string>()
  const waitCell = new Int32Array(new SharedArrayBuffer(4))

  /** The path of a file or descriptor; empty when a descriptor came from another thread and cannot be looked up. */
  const pathOf = (target: unknown): string => {
    if (typeof target !== 'number') return String(target)
    try {
      return original.readlinkSync(`/proc/self/fd/${target}`)
    } catch {
      return paths.get(target) ?? '' // no /proc on this system
    }
  }

  // node:fs calls its own functions (appendFileSync is openSync and writeSync): only the outermost call is looked at.
  let inside = false
  const asInside = <Result>(run: () => Result): Result => {
    const outer = inside
    inside = true
    try {
      return run()
    } finally {
      inside = outer
    }
  }

  /** The fault that applies to this call, claimed if it is one of a limited number. */
  const faultOf = (call: FaultCall, target: unknown): Fault | undefined =>
    inside ? undefined : asInside(() => claim(call, target))

  const claim = (call: FaultCall, target: unknown): Fault | undefined => {
    for (const name of original.readdirSync(active).sort()) {
      const file = join(active, name)
      let fault: Fault
      try {
        fault = JSON.parse(original.readFileSync(file, 'utf8')) as Fault
      } catch {
        continue // switched off, or claimed by another thread, a moment ago
      }
      const path = pathOf(target)
      if (!fault.calls.includes(call) || (path !== '' && !new RegExp(fault.path ?? '').test(path))) continue
      if (name.endsWith('.once.json')) {
        try {
          original.unlinkSync(file)
        } catch {
          continue // another thread was faster
        }
      }
      original.appendFileSync(journal, `${call} ${path} ${fault.crash ?? fault.error ?? 'passed'}\n`)
      return fault
    }
    return undefined
  }

  const die = (): never => {
    process.kill(process.pid, 'SIGKILL')
    // A signal to oneself may take a moment to arrive.
    for (;;) Atomics.wait(waitCell, 0, 0, 1000)
  }

  /** Writes the first half of what `write(fd, bytes, offset, length, position)` or `writev(fd, pieces, position)` would. */
  const writeHalf = (args: readonly unknown[]): void => {
    const [fd, what] = args
    if (typeof fd !== 'number') return
    if (Array.isArray(what)) {
      const whole = Buffer.concat(what.filter((piece) => piece instanceof Uint8Array))
      original.writeSync(fd, whole, 0, whole.length >> 1, numberOrNull(args[2]))
    } else if (what instanceof Uint8Array) {
      const offset = typeof args[2] === 'number' ? args[2] : 0
      const length = typeof args[3] === 'number' ? args[3] : what.length - offset
      original.writeSync(fd, what, offset, length >> 1, numberOrNull(args[4]))
    }
  }

  const crashBefore = (fault: Fault | undefined, args: readonly unknown[]): void => {
    if (fault?.crash === 'halfway') asInside(() => writeHalf(args))
    if (fault?.crash === 'before' || fault?.crash === 'halfway') die()
  }

  const errorOf = (fault: Fault, call: FaultCall): NodeJS.ErrnoException | undefined => {
    if (fault.error === undefined) return undefined
    const error: NodeJS.ErrnoException = new Error(`${fault.error}: injected fault, ${call}`)
    error.code = fault.error
    error.syscall = call
    return error
  }

  const wrapSync = (name: string, call: FaultCall): void => {
    const run = (fs as unknown as Record<string, AnyFunction>)[name] as AnyFunction
    const wrapped = (...args: unknown[]): unknown => {
      const fault = faultOf(call, args[0])
      crashBefore(fault, args)
      if (fault?.delayMs !== undefined) Atomics.wait(waitCell, 0, 0, fault.delayMs)
      const error = fault === undefined ? undefined : errorOf(fault, call)
      if (error !== undefined) throw error
      const result = asInside(() => run(...args))
      if (fault?.crash === 'after') die()
      if (name === 'openSync') paths.set(result as number, String(args[0]))
      return result
    }
    Object.assign(fs, { [name]: wrapped })
  }

  const wrapCallback = (name: string, call: FaultCall): void => {
    const run = (fs as unknown as Record<string, AnyFunction>)[name] as AnyFunction
    const wrapped = (...args: unknown[]): unknown => {
      const fault = faultOf(call, args[0])
      crashBefore(fault, args)
      const callback = fault?.crash === 'after' ? die : (args.at(-1) as Callback)
      args[args.length - 1] = callback
      if (name === 'open') {
        const opened = callback as unknown as (error: Error | null, fd: number) => void
        args[args.length - 1] = (error: Error | null, fd: number): void => {
          if (error === null) paths.set(fd, String(args[0]))
          opened(error, fd)
        }
      }
      if (fault?.error === undefined && fault?.delayMs === undefined) return run(...args)
      const error = errorOf(fault, call)
      setTimeout(() => (error === undefined ? run(...args) : callback(error)), fault.delayMs ?? 0)
      return undefined
    }
    Object.assign(fs, { [name]: wrapped })
  }

  const wrapPromise = (
    owner: object,
    name: string,
    call: FaultCall,
    target: (self: unknown, args: unknown[]) => unknown,
  ): void => {
    const run = (owner as Record<string, AnyFunction>)[name] as AnyFunction
    const wrapped = async function (this: unknown, ...args: unknown[]): Promise<unknown> {
      const fault = faultOf(call, target(this, args))
      crashBefore(fault, [target(this, args), ...(call === 'write' ? args : [])])
      if (fault?.delayMs !== undefined) await new Promise((resolve) => setTimeout(resolve, fault.delayMs))
      const error = fault === undefined ? undefined : errorOf(fault, call)
      if (error !== undefined) throw error
      const result = await run.apply(this, args)
      if (fault?.crash === 'after') die()
      return result
    }
    Object.defineProperty(owner, name, { value: wrapped, configurable: true, writable: true })
  }

  const wrappedCalls: readonly (readonly [FaultCall, readonly string[]])[] = [
    ['open', ['open']],
    ['read', ['read', 'readv']],
    ['write', ['write', 'writev', 'writeFile', 'appendFile']],
    ['fdatasync', ['fdatasync']],
    ['fsync', ['fsync']],
    ['ftruncate', ['ftruncate']],
    ['rename', ['rename']],
    ['unlink', ['unlink', 'rm']],
    ['mkdir', ['mkdir']],
  ]
  for (const [call, names] of wrappedCalls) {
    for (const name of names) {
      wrapSync(`${name}Sync`, call)
      wrapCallback(name, call)
    }
  }

  const byPath = (_: unknown, args: unknown[]): unknown => args[0]
  for (const [name, call] of [
    ['open', 'open'],
    ['rename', 'rename'],
    ['unlink', 'unlink'],
    ['rm', 'unlink'],
    ['mkdir', 'mkdir'],
    ['writeFile', 'write'],
  ] as const) {
    wrapPromise(fs.promises, name, call, byPath)
  }
  const byHandle = (self: unknown): unknown => (self as { fd: number }).fd
  for (const [name, call] of [
    ['read', 'read'],
    ['write', 'write'],
    ['writev', 'write'],
    ['datasync', 'fdatasync'],
    ['sync', 'fsync'],
    ['truncate', 'ftruncate'],
  ] as const) {
    wrapPromise(handlePrototype, name, call, byHandle)
  }
  syncBuiltinESMExports()
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null
}
