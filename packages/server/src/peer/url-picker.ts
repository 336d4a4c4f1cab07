import { type PeerAddress, splitPeerUrl } from './peer-address.ts'

/** The addresses of another member, of which one at a time is in use: the first, until it fails. */
export class UrlPicker {
  #addresses: readonly PeerAddress[] = []
  #picked = 0

  constructor(urls: readonly string[]) {
    this.update(urls)
  }

  /** Begins again with the first of other URLs. Those that are no URL of a member are left out. */
  update(urls: readonly string[]): void {
    this.#addresses = [...urls].sort().flatMap((url) => splitPeerUrl(url)?.address ?? [])
    this.#picked = 0
  }

  get all(): readonly PeerAddress[] {
    return this.#addresses
  }

  /** Undefined when the member has no usable URL. */
  pick(): PeerAddress | undefined {
    return this.#addresses[this.#picked]
  }

  /** Goes on to the next address if the one that failed is still the one in use. */
  failed(address: PeerAddress): void {
    if (this.pick() === address) this.#picked = (this.#picked + 1) % this.#addresses.length
  }
}
