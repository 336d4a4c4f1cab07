import { etcdserverpb } from '@etcd-ts/api'
import type { CallOptions, Caller } from './caller.ts'

const { AuthService } = etcdserverpb

/** Users, roles and tokens. */
export class AuthClient {
  readonly #caller: Caller

  constructor(caller: Caller) {
    this.#caller = caller
  }

  /** A token for a user. */
  authenticate(
    request: etcdserverpb.AuthenticateRequestInit,
    options?: CallOptions,
  ): Promise<etcdserverpb.AuthenticateResponse> {
    return this.#caller.call(AuthService.Authenticate, request, 'once', options)
  }
}
