import type { MemberPorts } from '@etcd-ts/server'

const nobody = (): never => {
  throw new Error('a cluster of one member has nobody to talk to')
}

/** The network of a member that has its cluster to itself. */
export const alone: Pick<MemberPorts, 'importBackend' | 'openTransport' | 'peerHttp' | 'removed'> = {
  importBackend: nobody,
  openTransport: () => ({
    addPeer: nobody,
    addRemote: nobody,
    updatePeer: nobody,
    removePeer: nobody,
    removeAllPeers: nobody,
    send: nobody,
    sendSnapshot: nobody,
    activeSinceMs: () => undefined,
    stop: () => Promise.resolve(),
  }),
  peerHttp: { request: nobody },
  removed: nobody,
}
