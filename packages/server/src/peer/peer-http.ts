/** A request to another member's peer URL: one question, one answer. */
export interface PeerRequest {
  /** Scheme, host and path. */
  readonly url: string
  /** `GET` unless told. */
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
  /** For the whole exchange. */
  readonly timeoutMs: number
}

export interface PeerResponse {
  readonly status: number
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Buffer
}

/** Asks other members over HTTP with the peers' TLS settings; redirects are not followed. */
export interface PeerHttp {
  /** @throws Error when there is no answer in time, or one larger than 16 MiB */
  request(request: PeerRequest): Promise<PeerResponse>
}
