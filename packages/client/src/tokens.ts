import { ApiError } from '@etcd-ts/api'
import type { AuthClient } from './auth.ts'
import type { CallOptions, TokenSource } from './caller.ts'

/** Who the client is: a user with a password, or a token from elsewhere. */
export type Credentials = { readonly name: string; readonly password: string } | { readonly token: string }

/** Keeps the token of the client's user. */
export class Tokens implements TokenSource {
  token: string | undefined
  readonly #credentials: Credentials | undefined
  readonly #auth: () => AuthClient
  /** The renewal that is going on; calls that need one share it. */
  #renewal: Promise<boolean> | undefined

  /** @param auth makes its calls without a token */
  constructor(credentials: Credentials | undefined, auth: () => AuthClient) {
    this.#credentials = credentials
    this.#auth = auth
    if (credentials && 'token' in credentials) this.token = credentials.token
  }

  async renew(options: CallOptions): Promise<boolean> {
    const credentials = this.#credentials
    if (!credentials || 'token' in credentials) return false
    this.#renewal ??= this.#authenticate(credentials, options).finally(() => {
      this.#renewal = undefined
    })
    return this.#renewal
  }

  /** Gets the first token; a cluster without authentication gives none and wants none. @throws ApiError */
  async start(options: CallOptions): Promise<void> {
    try {
      await this.renew(options)
    } catch (error) {
      if (!(error instanceof ApiError && error.reason === 'authNotEnabled')) throw error
    }
  }

  async #authenticate(
    { name, password }: { readonly name: string; readonly password: string },
    options: CallOptions,
  ): Promise<boolean> {
    const { token } = await this.#auth().authenticate({ name, password }, options)
    this.token = token
    return true
  }
}
