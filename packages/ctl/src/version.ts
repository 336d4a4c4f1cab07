/** The etcd release whose behaviour this program has, as it tells users and tools. */
export const ETCD_VERSION = '3.5.33'

/** The API level of that release. */
export const API_VERSION = '3.5'
