package report

import (
	"fmt"
	"strings"
)

// style is the style sheet: one set of colours for light, one for dark.
func (r *Result) style() string {
	var b strings.Builder
	b.WriteString(`:root{color-scheme:light dark;--ink:#222;--back:#fcfcfa;--soft:#ddd}
@media(prefers-color-scheme:dark){:root{--ink:#ddd;--back:#17181a;--soft:#3a3c40}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);margin:0}
main{max-width:960px;margin:0 auto;padding:1rem}
h1{font-size:1.6rem}h2{font-size:1.1rem;margin-top:2.5rem}
table{border-collapse:collapse;font-size:.85rem}td,th{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid var(--soft);vertical-align:top}
pre{overflow-x:auto;font-size:.75rem}svg{width:100%;height:auto}
.grid{stroke:var(--soft)}.label{font:12px system-ui,sans-serif;fill:var(--ink)}
.s{fill:none;stroke-width:1.8}
`)
	light, dark := palette(45), palette(65)
	rules(&b, light)
	b.WriteString("@media(prefers-color-scheme:dark){")
	rules(&b, dark)
	b.WriteString("}\n")
	return b.String()
}

// palette returns hues that neighbours in the list have far apart.
func palette(lightness int) (list [colors]string) {
	for i := range list {
		hue := (i*5%colors)*360/colors + 10
		list[i] = fmt.Sprintf("hsl(%d 70%% %d%%)", hue, lightness)
	}
	return list
}

func rules(b *strings.Builder, list [colors]string) {
	for i, color := range list {
		fmt.Fprintf(b, ".s%d{stroke:%s}.d%d,.b%d{fill:%s}", i, color, i, i, color)
	}
}
