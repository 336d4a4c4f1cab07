import { type Server, type Socket, connect, createServer } from 'node:net'
import { PeerRequestScanner } from './peer-request-scanner.ts'
import { type Scope, freeAfter } from './scope.ts'

/** How a pair of members is cut: its connections stand still, or they are reset and so is every new one. */
export type Cut = 'stall' | 'reset'

/** One member as its links see it. */
export interface LinkEnd {
  readonly name: string
  /** As `X-Server-From` has it. */
  readonly idHex: string
  /** Where the member listens. */
  readonly port: number
}

/**
 * The network between the members of a cluster: a TCP proxy in front of every member's peer listener. What a member sends
 * to another can be held up, in one direction or both, or delayed.
 *
 * Both members of a pair dial each other and both ends write on each connection; a rule holds for the bytes that go from
 * one member to the other, whoever has dialled. Held bytes are neither lost nor reordered: they go on after `heal`, as
 * after a short failure of a real network, unless an end has given the connection up.
 *
 * Who has dialled is told by the first request that says so. Requests that do not (`GET /version`, `/members`) go through
 * unless every other member is cut from the one that is asked.
 */
export class PeerLinks {
  readonly #ends = new Map<string, LinkEnd>()
  readonly #cuts = new Map<string, Cut>()
  readonly #delays = new Map<string, number>()
  readonly #connections = new Set<Connection>()

  /** Opens the proxy of a member on `port`, until the end of `scope`. */
  async add(scope: Scope, end: LinkEnd, port: number): Promise<void> {
    this.#ends.set(end.name, end)
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
      const connection = new Connection(socket, end, this, () => this.#connections.delete(connection))
      this.#connections.add(connection)
    })
    await listen(server, port)
    freeAfter(scope, async () => {
      const closed = new Promise((resolve) => server.close(resolve))
      for (const connection of this.#connections) {
        if (connection.to === end) connection.destroy()
      }
      await closed
    })
  }

  /** Forgets a member, whose proxy then lets everything through. */
  remove(name: string): void {
    this.#ends.delete(name)
    this.#apply()
  }

  /** Holds up what `from` sends to `to`, until `heal`. */
  block(from: string, to: string, cut: Cut = 'stall'): void {
    this.#cuts.set(pair(from, to), cut)
    this.#apply()
  }

  /** Delays what `from` sends to `to` by `delayMs`, until `heal`. */
  delay(from: string, to: string, delayMs: number): void {
    this.#delays.set(pair(from, to), delayMs)
  }

  /** Lets what was held up go on, and delays nothing any more. */
  heal(): void {
    this.#cuts.clear()
    this.#delays.clear()
    this.#apply()
  }

  /** The name of the member with that id. */
  nameOf(idHex: string): string | undefined {
    for (const end of this.#ends.values()) if (end.idHex === idHex) return end.name
    return undefined
  }

  /** @param from undefined: some other member */
  cutOf(from: string | undefined, to: string | undefined): Cut | undefined {
    if (from !== undefined && to !== undefined) return this.#cuts.get(pair(from, to))
    const known = from ?? to
    let cut: Cut | undefined
    for (const other of this.#ends.keys()) {
      if (other === known) continue
      cut = this.#cuts.get(pair(from ?? other, to ?? other))
      if (cut === undefined) return undefined
    }
    return cut
  }

  delayOf(from: string | undefined, to: string | undefined): number {
    return from === undefined || to === undefined ? 0 : (this.#delays.get(pair(from, to)) ?? 0)
  }

  #apply(): void {
    for (const connection of this.#connections) connection.apply()
  }
}

function pair(from: string, to: string): string {
  return `${from} ${to}`
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', resolve)
  })
}

/** A connection that somebody has opened to a member: two sockets and a pipe in each direction. */
class Connection {
  readonly to: LinkEnd
  readonly #links: PeerLinks
  readonly #dialer: Socket
  readonly #closed: () => void
  #target: Socket | undefined
  #scanner: PeerRequestScanner | undefined = new PeerRequestScanner()
  #from: string | undefined
  readonly #forward: Pipe
  #backward: Pipe | undefined

  constructor(dialer: Socket, to: LinkEnd, links: PeerLinks, closed: () => void) {
    this.#dialer = dialer
    this.to = to
    this.#links = links
    this.#closed = closed
    this.#forward = new Pipe(
      dialer,
      () => links.cutOf(this.#from, to.name) !== undefined,
      () => links.delayOf(this.#from, to.name),
    )
    dialer.on('data', (chunk: Buffer) => this.#receive(chunk))
    dialer.on('end', () => {
      // Whoever leaves before the first request is whole had nothing to say.
      if (this.#target === undefined && this.#forward.isEmpty) this.destroy()
      else this.#forward.end()
    })
    dialer.on('error', () => {}) // 'close' follows
    dialer.on('close', () => this.#socketClosed())
  }

  /** Makes the rules hold that have just been set. */
  apply(): void {
    const { name } = this.to
    if (this.#links.cutOf(this.#from, name) === 'reset' || this.#links.cutOf(name, this.#from) === 'reset') {
      this.#dialer.resetAndDestroy()
      this.#target?.resetAndDestroy()
      return
    }
    this.#connect()
    this.#forward.flush()
    this.#backward?.flush()
    this.#socketClosed()
  }

  destroy(): void {
    this.#dialer.destroy()
    this.#target?.destroy()
  }

  #receive(chunk: Buffer): void {
    if (this.#scanner === undefined) {
      this.#forward.push(chunk)
      return
    }
    const result = this.#scanner.push(chunk)
    if (result.kind === 'incomplete') return
    if (result.kind !== 'anonymous') this.#scanner = undefined
    if (result.kind === 'from') this.#from = this.#links.nameOf(result.id)
    this.#forward.push(result.bytes)
    this.apply()
  }

  /** Dials the member once there is something to send that may be sent. */
  #connect(): void {
    if (this.#target !== undefined || this.#forward.isEmpty || this.#forward.isBlocked) return
    if (this.#dialer.destroyed) return
    const target = connect({ port: this.to.port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    this.#target = target
    const backward = new Pipe(
      target,
      () => this.#links.cutOf(this.to.name, this.#from) !== undefined,
      () => this.#links.delayOf(this.to.name, this.#from),
    )
    this.#backward = backward
    target.on('data', (chunk: Buffer) => backward.push(chunk))
    target.on('end', () => backward.end())
    target.on('error', () => {}) // 'close' follows
    target.on('close', () => this.#socketClosed())
    backward.connect(this.#dialer)
    this.#forward.connect(target)
  }

  /** An end that is gone takes the other one along, but not through a cut. */
  #socketClosed(): void {
    const dialerGone = this.#dialer.destroyed
    const targetGone = this.#target?.destroyed ?? dialerGone
    if (dialerGone && !targetGone && !this.#forward.isBlocked) this.#forward.finish()
    if (targetGone && !dialerGone && this.#backward?.isBlocked !== true) this.#backward?.finish()
    if (dialerGone && targetGone) this.#closed()
  }
}

const QUEUE_BYTES_MAX = 1024 * 1024

/** One direction of a connection: what comes in goes out in order, later or not at all while the direction is blocked. */
class Pipe {
  readonly #source: Socket
  readonly #blocked: () => boolean
  readonly #delayMs: () => number
  readonly #queue: { readonly chunk: Buffer; readonly dueMs: number }[] = []
  #queueBytes = 0
  #sink: Socket | undefined
  #ended = false
  #waits = false

  constructor(source: Socket, blocked: () => boolean, delayMs: () => number) {
    this.#source = source
    this.#blocked = blocked
    this.#delayMs = delayMs
  }

  get isEmpty(): boolean {
    return this.#queue.length === 0
  }

  get isBlocked(): boolean {
    return this.#blocked()
  }

  connect(sink: Socket): void {
    this.#sink = sink
    sink.on('drain', () => this.flush())
  }

  push(chunk: Buffer): void {
    this.#queue.push({ chunk, dueMs: performance.now() + this.#delayMs() })
    this.#queueBytes += chunk.length
    this.flush()
  }

  /** The source sends no more; the sink is told after what is queued. */
  end(): void {
    this.#ended = true
    this.flush()
  }

  /** The source is gone: the sink gets what is queued, and then goes too. */
  finish(): void {
    this.#ended = true
    this.flush()
    if (this.#queue.length === 0) this.#sink?.destroySoon()
  }

  /** Passes on what may go. */
  flush(): void {
    const sink = this.#sink
    const blocked = this.#blocked()
    if (sink !== undefined && !sink.destroyed && !blocked) {
      for (let next = this.#queue[0]; next !== undefined && !sink.writableNeedDrain; next = this.#queue[0]) {
        const waitMs = next.dueMs - performance.now()
        if (waitMs > 0) {
          this.#flushLater(waitMs)
          break
        }
        this.#queue.shift()
        this.#queueBytes -= next.chunk.length
        sink.write(next.chunk)
      }
      if (this.#ended && this.#queue.length === 0 && !sink.writableEnded) {
        if (this.#source.destroyed) sink.destroySoon()
        else sink.end()
      }
    }
    if (blocked || this.#queueBytes > QUEUE_BYTES_MAX) this.#source.pause()
    else if (!this.#source.destroyed) this.#source.resume()
  }

  #flushLater(waitMs: number): void {
    if (this.#waits) return
    this.#waits = true
    setTimeout(() => {
      this.#waits = false
      this.flush()
    }, waitMs)
  }
}
