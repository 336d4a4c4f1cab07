import type { Service, ServiceMethod } from './codec.ts'
import {
  AuthService,
  ClusterService,
  KVService,
  LeaseService,
  MaintenanceService,
  WatchService,
} from './generated/etcdserverpb.ts'
import { HealthService } from './generated/grpc-health-v1.ts'
import { ElectionService } from './generated/v3electionpb.ts'
import { LockService } from './generated/v3lockpb.ts'

/** Every service of an etcd member by its full name. */
export const services: Readonly<Record<string, Service>> = {
  'etcdserverpb.KV': KVService,
  'etcdserverpb.Watch': WatchService,
  'etcdserverpb.Lease': LeaseService,
  'etcdserverpb.Cluster': ClusterService,
  'etcdserverpb.Maintenance': MaintenanceService,
  'etcdserverpb.Auth': AuthService,
  'v3lockpb.Lock': LockService,
  'v3electionpb.Election': ElectionService,
  'grpc.health.v1.Health': HealthService,
}

/**
 * The HTTP paths of the JSON gateway. All are POST with the request message as the body; what the body
 * and the answer look like depends on the method's two streaming flags.
 */
export const gatewayMethods: ReadonlyMap<string, ServiceMethod> = new Map<string, ServiceMethod>([
  ['/v3/kv/range', KVService.Range],
  ['/v3/kv/put', KVService.Put],
  ['/v3/kv/deleterange', KVService.DeleteRange],
  ['/v3/kv/txn', KVService.Txn],
  ['/v3/kv/compaction', KVService.Compact],
  ['/v3/watch', WatchService.Watch],
  ['/v3/lease/grant', LeaseService.LeaseGrant],
  ['/v3/lease/revoke', LeaseService.LeaseRevoke],
  ['/v3/kv/lease/revoke', LeaseService.LeaseRevoke],
  ['/v3/lease/keepalive', LeaseService.LeaseKeepAlive],
  ['/v3/lease/timetolive', LeaseService.LeaseTimeToLive],
  ['/v3/kv/lease/timetolive', LeaseService.LeaseTimeToLive],
  ['/v3/lease/leases', LeaseService.LeaseLeases],
  ['/v3/kv/lease/leases', LeaseService.LeaseLeases],
  ['/v3/cluster/member/add', ClusterService.MemberAdd],
  ['/v3/cluster/member/remove', ClusterService.MemberRemove],
  ['/v3/cluster/member/update', ClusterService.MemberUpdate],
  ['/v3/cluster/member/list', ClusterService.MemberList],
  ['/v3/cluster/member/promote', ClusterService.MemberPromote],
  ['/v3/maintenance/alarm', MaintenanceService.Alarm],
  ['/v3/maintenance/status', MaintenanceService.Status],
  ['/v3/maintenance/defragment', MaintenanceService.Defragment],
  ['/v3/maintenance/hash', MaintenanceService.Hash],
  ['/v3/maintenance/hashkv', MaintenanceService.HashKV],
  ['/v3/maintenance/snapshot', MaintenanceService.Snapshot],
  ['/v3/maintenance/transfer-leadership', MaintenanceService.MoveLeader],
  ['/v3/maintenance/downgrade', MaintenanceService.Downgrade],
  ['/v3/auth/enable', AuthService.AuthEnable],
  ['/v3/auth/disable', AuthService.AuthDisable],
  ['/v3/auth/status', AuthService.AuthStatus],
  ['/v3/auth/authenticate', AuthService.Authenticate],
  ['/v3/auth/user/add', AuthService.UserAdd],
  ['/v3/auth/user/get', AuthService.UserGet],
  ['/v3/auth/user/list', AuthService.UserList],
  ['/v3/auth/user/delete', AuthService.UserDelete],
  ['/v3/auth/user/changepw', AuthService.UserChangePassword],
  ['/v3/auth/user/grant', AuthService.UserGrantRole],
  ['/v3/auth/user/revoke', AuthService.UserRevokeRole],
  ['/v3/auth/role/add', AuthService.RoleAdd],
  ['/v3/auth/role/get', AuthService.RoleGet],
  ['/v3/auth/role/list', AuthService.RoleList],
  ['/v3/auth/role/delete', AuthService.RoleDelete],
  ['/v3/auth/role/grant', AuthService.RoleGrantPermission],
  ['/v3/auth/role/revoke', AuthService.RoleRevokePermission],
  ['/v3/lock/lock', LockService.Lock],
  ['/v3/lock/unlock', LockService.Unlock],
  ['/v3/election/campaign', ElectionService.Campaign],
  ['/v3/election/proclaim', ElectionService.Proclaim],
  ['/v3/election/leader', ElectionService.Leader],
  ['/v3/election/observe', ElectionService.Observe],
  ['/v3/election/resign', ElectionService.Resign],
])
