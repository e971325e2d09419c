// Bundles src/dashboard into dist/ui. The editor and the charts are parts of their own, asked for by the pages that need
// them. Nothing is inlined and nothing is preloaded by script, which the pages' own policy would not let run.
import path from 'node:path'
import { build } from 'vite'

const root = path.resolve(import.meta.dirname, '..')
const EDITOR = /node_modules\/(?:@codemirror|@lezer|@marijn|style-mod|w3c-keyname|crelt)\//

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
    chunkSizeWarningLimit: 600,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: 'editor', test: EDITOR },
            { name: 'chart', test: /node_modules\/uplot\// },
          ],
        },
      },
    },
  },
})
