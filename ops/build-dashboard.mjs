// Bundles src/dashboard into dist/ui. Nothing is inlined and nothing is preloaded by script, which the pages' own policy would not let run.
import path from 'node:path'
import { build } from 'vite'

const root = path.resolve(import.meta.dirname, '..')

await build({
  configFile: false,
  root: path.join(root, 'src', 'dashboard'),
  base: '/ui/',
  logLevel: 'warn',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  resolve: { alias: { react: 'preact/compat', 'react-dom': 'preact/compat' } },
  build: {
    target: 'es2022',
    outDir: path.join(root, 'dist', 'ui'),
    emptyOutDir: true,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
})
