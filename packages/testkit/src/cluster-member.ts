import { rmSync } from 'node:fs'
import { etcdserverpb } from '@etcd-ts/api'
import { GrpcClient } from './grpc-client.ts'
import { hexOfId } from './member-id.ts'
import { type ServerProgram } from './programs.ts'
import { type Scope, freeAfter } from './scope.ts'
import { type Exit, type ServerProcess } from './server-process.ts'

const STATUS_TIMEOUT_MS = 1_000

/** One member of a `ClusterProcess`. */
export class ClusterMember {
  readonly name: string
  /** As the cluster knows it. */
  readonly id: bigint
  /** What the other members dial: the member's link where there is one, else its listener. */
  readonly peerUrl: string
  readonly server: ServerProcess
  /** Calls of this member alone; refused while it is down. */
  readonly grpc: GrpcClient
  /** Whether the member counts in elections; a learner does not. */
  isVoter: boolean
  #paused = false

  constructor(scope: Scope, id: bigint, peerUrl: string, server: ServerProcess, isVoter: boolean) {
    this.name = server.name
    this.id = id
    this.peerUrl = peerUrl
    this.server = server
    this.isVoter = isVoter
    this.grpc = new GrpcClient(server.endpoint)
    freeAfter(scope, () => this.grpc.close())
  }

  get idHex(): string {
    return hexOfId(this.id)
  }

  /** `host:port` of the client listener. */
  get endpoint(): string {
    return this.server.endpoint
  }

  get program(): ServerProgram {
    return this.server.program
  }

  /** Whether the process is there and not paused. */
  get isUp(): boolean {
    return this.server.running && !this.#paused
  }

  /** Starts the process and waits until it answers clients, for which it needs a leader. */
  start(timeoutMs?: number): Promise<void> {
    this.#paused = false
    return this.server.start(timeoutMs)
  }

  /** SIGKILL. */
  kill(): Promise<void> {
    return this.server.kill()
  }

  /** SIGTERM, and waits for the end. */
  stop(): Promise<Exit> {
    return this.server.stop()
  }

  /** SIGSTOP. */
  pause(): void {
    this.server.pause()
    this.#paused = true
  }

  /** SIGCONT. */
  resume(): void {
    this.server.resume()
    this.#paused = false
  }

  /** Removes what the member has stored; it must be down. */
  wipe(): void {
    if (this.server.running) throw new Error(`${this.name} is running`)
    rmSync(this.server.dataDir, { recursive: true, force: true })
  }

  /** @throws GrpcError */
  status(timeoutMs = STATUS_TIMEOUT_MS): Promise<etcdserverpb.StatusResponse> {
    return this.grpc.call(etcdserverpb.MaintenanceService.Status, {}, { timeoutMs })
  }

  /** The member's status, or undefined when it is down, paused or does not answer. */
  async statusIfUp(): Promise<etcdserverpb.StatusResponse | undefined> {
    if (!this.isUp) return undefined
    try {
      return await this.status()
    } catch {
      return undefined // whoever asks looks at those who answer
    }
  }
}
