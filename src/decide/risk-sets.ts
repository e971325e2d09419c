/**
 * The named sets of risky text. They are a tripwire for the obvious, not a promise: what is worded
 * with care passes them. All are RE2 and match anywhere in a text.
 */
export const RISK_SETS = {
  command_execution: [
    '(?i)\\brm\\s+-[a-z]*[rf]',
    '(?i)\\b(?:curl|wget)\\b[^\\n|]{0,500}\\|\\s*(?:sudo\\s+)?(?:ba|z|da|k)?sh\\b',
    '(?i)(?:[;&|]|\\$\\(|`)\\s*(?:rm|cat|curl|wget|nc|ncat|bash|sh|zsh|python3?|perl|ruby|node|chmod|chown|kill|whoami|id|uname)\\b',
    '(?i)\\b(?:sudo\\s+\\S|mkfs\\b|dd\\s+if=|chmod\\s+[0-7+]{2,})',
    '(?i)/bin/(?:ba|z|da|k)?sh\\b|/dev/tcp/',
    '(?i)\\b(?:os\\.system|subprocess\\.(?:run|call|popen|check_output)|child_process|shell_exec|proc_open|passthru|popen|eval|exec|system)\\s*\\(',
    '(?i)\\brequire\\s*\\(\\s*[\'"]child_process|\\bRuntime\\.getRuntime\\b|\\bProcessBuilder\\b',
    '(?i)\\bpowershell(?:\\.exe)?\\s+-|\\bcmd(?:\\.exe)?\\s+/c\\b|\\bInvoke-Expression\\b|-EncodedCommand\\b',
  ],
  secrets: [
    '-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----',
    '\\b(?:AKIA|ASIA)[0-9A-Z]{16}\\b',
    '\\bgh[pousr]_[0-9A-Za-z]{20,}|\\bgithub_pat_[0-9A-Za-z_]{20,}|\\bglpat-[0-9A-Za-z_-]{16,}',
    '\\bxox[abprs]-[0-9A-Za-z-]{10,}',
    '\\bsk-[0-9A-Za-z_-]{20,}|\\b[sr]k_live_[0-9A-Za-z]{10,}|\\bAIza[0-9A-Za-z_-]{35}',
    '\\beyJ[0-9A-Za-z_-]{10,}\\.eyJ[0-9A-Za-z_-]{10,}\\.',
    '(?i)\\b(?:password|passwd|pwd|secret|api[_-]?key|access[_-]?token|auth[_-]?token)\\b["\']?\\s*[:=]\\s*["\']?[^\\s"\']{6,}',
    '(?i)\\b[a-z][a-z0-9+.-]{1,20}://[^\\s/:@]{1,100}:[^\\s/@]{1,100}@',
  ],
  urls: [
    '(?i)\\b(?:https?|ftps?|sftp|file|gopher|ldaps?|wss?|smb|ssh|telnet)://',
    '(?i)\\b(?:javascript|vbscript)\\s*:|\\bdata:[a-z]+/[a-z0-9.+-]+[;,]',
    '(?i)\\bwww\\.[a-z0-9-]+\\.[a-z]{2,}',
  ],
  path_traversal: [
    '\\.\\.(?:[/\\\\]|$)|[/\\\\]\\.\\.',
    '(?i)(?:%(?:25)*2e|\\.){2}(?:[/\\\\]|%(?:25)*(?:2f|5c))|%(?:25)*2e%(?:25)*2e',
    '(?i)%(?:25)*(?:c0%(?:25)*(?:ae|af|2f)|c1%(?:25)*(?:9c|1c|pc)|00)',
    '(?i)/etc/(?:passwd|shadow|hosts|sudoers)\\b|/proc/(?:self|\\d+)/|~/\\.(?:ssh|aws|kube)\\b',
    '(?i)\\b[a-z]:\\\\(?:windows|winnt|users|boot\\.ini)',
  ],
} as const satisfies Readonly<Record<string, readonly string[]>>

export type RiskSet = keyof typeof RISK_SETS
