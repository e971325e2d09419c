/** Bounds of a policy directory, checked before anything is parsed. */
export const POLICY_LIMITS = {
  fileBytesMax: 4 << 20,
  yamlBytesMax: 1 << 20,
  /** `tools.yaml`: public APIs have thousands of operations. */
  toolsBytesMax: 4 << 20,
  /** CSV and JSON under `data/`. */
  dataBytesMax: 64 << 20,
  filesMax: 512,
  totalBytesMax: 96 << 20,
  depthMax: 32,
  diagnosticsMax: 100,
  pathLengthMax: 200,
} as const
