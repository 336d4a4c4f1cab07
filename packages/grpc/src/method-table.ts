import type { Method, ServiceTable } from './service.ts'
import { Code } from './status.ts'

const CODE_COUNT = Code.Unauthenticated + 1

/** What has happened to the calls of one method; counters only grow. */
export interface MethodStats {
  readonly path: string
  readonly kind: Method['kind']
  readonly started: number
  readonly messagesReceived: number
  readonly messagesSent: number
  /** Calls that ended, by code; a code without a name counts as Unknown. */
  readonly handled: readonly number[]
}

/** A method with its counters. */
export class MethodEntry implements MethodStats {
  readonly path: string
  readonly kind: Method['kind']
  readonly method: Method
  started = 0
  messagesReceived = 0
  messagesSent = 0
  readonly handled: number[] = new Array<number>(CODE_COUNT).fill(0)

  constructor(path: string, method: Method) {
    this.path = path
    this.kind = method.kind
    this.method = method
  }

  countEnd(code: number): void {
    this.handled[code < CODE_COUNT ? code : Code.Unknown]!++
  }
}

/** The server's methods by path, and the words for those that it lacks. */
export class MethodTable {
  readonly entries: ReadonlyMap<string, MethodEntry>
  readonly #services = new Set<string>()

  constructor(services: ServiceTable) {
    const entries = new Map<string, MethodEntry>()
    for (const [path, method] of services) {
      entries.set(path, new MethodEntry(path, method))
      this.#services.add(path.slice(1, path.lastIndexOf('/')))
    }
    this.entries = entries
  }

  /** grpc-go's message for a path that is not in the table. */
  explainMissing(path: string): string {
    const slash = path.lastIndexOf('/')
    if (!path.startsWith('/') || slash === 0) return `malformed method name: ${JSON.stringify(path)}`
    const service = path.slice(1, slash)
    if (this.#services.has(service)) return `unknown method ${path.slice(slash + 1)} for service ${service}`
    return `unknown service ${service}`
  }
}
