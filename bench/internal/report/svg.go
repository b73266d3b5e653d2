package report

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// A plot is lines over two axes, drawn as SVG. Colours are those of the page,
// which has a light and a dark set of them.
type plot struct {
	title, xLabel, yLabel string
	x, y                  axis
	series                []series
}

// series is one contender's line.
type series struct {
	name   string
	color  int // 0 to colors-1
	points [][2]float64
}

// axis maps values to a length in logarithmic scale.
type axis struct {
	from, to float64 // above 0
	ticks    []float64
	label    func(float64) string
}

const (
	colors     = 12
	plotWidth  = 760
	plotHeight = 360
	left       = 80
	bottom     = 46
	top        = 14
	right      = 170 // the legend
)

// logAxis spans the values with ticks at powers of ten, and at 2 and 5 times
// those where there are few.
func logAxis(values []float64, label func(float64) string) axis {
	a := axis{from: math.Inf(1), to: 0, label: label}
	for _, v := range values {
		if v > 0 {
			a.from, a.to = min(a.from, v), max(a.to, v)
		}
	}
	if a.to == 0 {
		a.from, a.to = 1, 10
	}
	if a.from == a.to {
		a.from, a.to = a.from/2, a.to*2
	}
	steps := []float64{1}
	if a.to/a.from < 1000 {
		steps = []float64{1, 2, 5}
	}
	for p := math.Floor(math.Log10(a.from)); p <= math.Ceil(math.Log10(a.to)); p++ {
		for _, s := range steps {
			if t := s * math.Pow(10, p); t >= a.from*0.999 && t <= a.to*1.001 {
				a.ticks = append(a.ticks, t)
			}
		}
	}
	return a
}

// at returns where v is, from 0 to 1.
func (a axis) at(v float64) float64 {
	return (math.Log(v) - math.Log(a.from)) / (math.Log(a.to) - math.Log(a.from))
}

func (p *plot) px(v float64) float64 { return left + p.x.at(v)*(plotWidth-left-right) }
func (p *plot) py(v float64) float64 {
	return plotHeight - bottom - p.y.at(v)*(plotHeight-bottom-top)
}

// svg draws the plot.
func (p *plot) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, plotHeight, html.EscapeString(p.title))
	for _, t := range p.x.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, p.px(t), p.px(t), top, plotHeight-bottom)
		text(&b, p.px(t), plotHeight-bottom+16, "middle", p.x.label(t))
	}
	for _, t := range p.y.ticks {
		fmt.Fprintf(&b, `<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, left, plotWidth-right, p.py(t), p.py(t))
		text(&b, left-6, p.py(t)+4, "end", p.y.label(t))
	}
	text(&b, (left+plotWidth-right)/2, plotHeight-8, "middle", p.xLabel)
	fmt.Fprintf(&b, `<text class="label" transform="translate(14 %d) rotate(-90)" text-anchor="middle">%s</text>`,
		(top+plotHeight-bottom)/2, html.EscapeString(p.yLabel))
	for i, s := range p.series {
		p.line(&b, s)
		y := float64(top + 10 + 17*i)
		fmt.Fprintf(&b, `<line class="s s%d" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>`, s.color, plotWidth-right+12, plotWidth-right+32, y, y)
		text(&b, plotWidth-right+38, y+4, "start", s.name)
	}
	b.WriteString("</svg>")
	return b.String()
}

func (p *plot) line(b *strings.Builder, s series) {
	fmt.Fprintf(b, `<polyline class="s s%d" points="`, s.color)
	for _, point := range s.points {
		fmt.Fprintf(b, "%.1f,%.1f ", p.px(point[0]), p.py(point[1]))
	}
	b.WriteString(`"/>`)
	for _, point := range s.points {
		fmt.Fprintf(b, `<circle class="d%d" cx="%.1f" cy="%.1f" r="3"><title>%s: %s, %s</title></circle>`, s.color,
			p.px(point[0]), p.py(point[1]), html.EscapeString(s.name), html.EscapeString(p.x.label(point[0])), html.EscapeString(p.y.label(point[1])))
	}
}

func text(b *strings.Builder, x, y float64, anchor, s string) {
	fmt.Fprintf(b, `<text class="label" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`, x, y, anchor, html.EscapeString(s))
}

// bars draws one bar for each row, with its value.
func bars(title string, rows []*Row, color func(peer string) int) string {
	const height, label = 24, 130
	longest := 0.0
	for _, row := range rows {
		longest = max(longest, row.Value)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %d %d" role="img" aria-label="%s">`, plotWidth, height*len(rows)+8, html.EscapeString(title))
	for i, row := range rows {
		y := float64(height*i + 4)
		width := row.Value / longest * (plotWidth - label - 100)
		text(&b, label-8, y+15, "end", row.Peer)
		fmt.Fprintf(&b, `<rect class="b%d" x="%d" y="%.0f" width="%.1f" height="%d" rx="3"/>`, color(row.Peer), label, y, max(1, width), height-6)
		text(&b, label+width+6, y+15, "start", Value(row.Value, row.Unit))
	}
	b.WriteString("</svg>")
	return b.String()
}
