package demo

import (
	"fmt"
	"html"
	"strings"
	"time"
)

// The picture's layout, in its own units.
const (
	svgWidth, svgHeight   = 1200.0, 720.0
	plotLeft, plotRight   = 84.0, 1164.0
	flowTop, flowBottom   = 142.0, 452.0
	queueTop, queueBottom = 520.0, 620.0
)

// svgStyle is the picture's colours and letters.
const svgStyle = `
  text { font-family: ui-sans-serif, system-ui, "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; fill: #334155; font-size: 14px }
  .title { font-size: 27px; font-weight: 700; fill: #0f172a }
  .lead { font-size: 14.5px; fill: #475569 }
  .small { font-size: 12px; fill: #94a3b8 }
  .head { font-size: 13px; font-weight: 600; fill: #475569 }
  .grid { stroke: #e2e8f0; stroke-width: 1 }
  .base { stroke: #94a3b8; stroke-width: 1.2 }
  .inflow { fill: none; stroke: #3b82f6; stroke-width: 1.8; stroke-linejoin: round }
  .inflow-area { fill: #3b82f6; fill-opacity: .13 }
  .made { fill: none; stroke: #94a3b8; stroke-width: 1.3; stroke-dasharray: 4 3; stroke-linejoin: round }
  .outflow { fill: none; stroke: #059669; stroke-width: 3.4; stroke-linejoin: round; stroke-linecap: round }
  .set { stroke: #059669; stroke-width: 1.2; stroke-dasharray: 2 5; stroke-opacity: .8 }
  .backlog { fill: #f59e0b; fill-opacity: .28; stroke: #d97706; stroke-width: 1.6; stroke-linejoin: round }
  .kill { stroke: #dc2626; stroke-width: 1.6 }
  .back { stroke: #475569; stroke-width: 1.4; stroke-dasharray: 5 4 }
  .pause { fill: #dc2626; fill-opacity: .12 }
  .tag { font-size: 13px; font-weight: 600; fill: #ffffff }
  .paused { font-size: 13px; fill: #b91c1c }
  .proof { font-size: 17px; font-weight: 700; fill: #047857 }
  .wrong { font-size: 17px; font-weight: 700; fill: #dc2626 }
`

// SVG draws the picture as a file of its own.
func SVG(p *Picture) []byte {
	s := &svg{p: p}
	s.add(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" width="%g" height="%g" role="img" aria-label="Inflow and outflow of weir demo">`, svgWidth, svgHeight, svgWidth, svgHeight)
	s.add(`<style>%s</style>`, svgStyle)
	s.add(`<rect width="%g" height="%g" fill="#ffffff"/>`, svgWidth, svgHeight)
	s.heading()
	inflow, outflow := p.Sent.rates(step), p.Applied.rates(step)
	flow := frame{flowTop, flowBottom, niceTop(max(inflow.Max(), outflow.Max(), p.Rate*2) * 1.04)}
	queue := frame{queueTop, queueBottom, niceTop(max(p.Backlog.Max(), 10) * 1.04)}
	s.times(flow, queue)
	s.scale(flow, 5)
	s.scale(queue, 2)
	if p.Pause.Length() > 0 {
		from, to := s.x(p.Pause.From), s.x(p.Pause.To)
		s.add(`<rect class="pause" x="%.1f" y="%g" width="%.1f" height="%g"/>`, from, flowTop, max(1, to-from), queueBottom-flowTop)
	}
	s.add(`<path class="made" d="%s"/>`, s.line(s.p.Made.rates(step), flow))
	s.add(`<path class="inflow-area" d="%s"/>`, s.area(inflow, flow))
	s.add(`<path class="inflow" d="%s"/>`, s.line(inflow, flow))
	s.add(`<path class="backlog" d="%s"/>`, s.area(p.Backlog, queue))
	y := flow.y(p.Rate)
	s.add(`<line class="set" x1="%g" y1="%.1f" x2="%g" y2="%.1f"/>`, plotLeft, y, plotRight, y)
	s.add(`<path class="outflow" d="%s"/>`, s.line(outflow, flow))
	s.legend()
	s.marks()
	s.footer()
	s.add(`</svg>`)
	return []byte(s.b.String())
}

// svg gathers the elements of one picture.
type svg struct {
	p *Picture
	b strings.Builder
}

// add writes one element on a line. Arguments must be numbers or safe text.
func (s *svg) add(format string, args ...any) { fmt.Fprintf(&s.b, format+"\n", args...) }

// text writes a text. anchor is start, middle or end.
func (s *svg) text(class, anchor string, x, y float64, text string) {
	s.add(`<text class="%s" text-anchor="%s" x="%.1f" y="%.1f">%s</text>`, class, anchor, x, y, html.EscapeString(text))
}

// frame is one diagram: its edges and the value at its top.
type frame struct{ top, bottom, max float64 }

func (f frame) y(v float64) float64 { return f.bottom - (f.bottom-f.top)*min(1, v/f.max) }

func (s *svg) x(t time.Duration) float64 {
	return plotLeft + (plotRight-plotLeft)*min(1, float64(t)/float64(s.p.span()))
}

// line is a curve as path data.
func (s *svg) line(c Curve, f frame) string {
	var b strings.Builder
	for i, pt := range c {
		op := "L"
		if i == 0 {
			op = "M"
		}
		fmt.Fprintf(&b, "%s%.1f %.1f", op, s.x(pt.At), f.y(pt.Value))
	}
	return b.String()
}

// area is a curve with the ground below it.
func (s *svg) area(c Curve, f frame) string {
	if len(c) == 0 {
		return ""
	}
	return fmt.Sprintf("M%.1f %.1f", s.x(c[0].At), f.bottom) + "L" + s.line(c, f)[1:] + fmt.Sprintf("L%.1f %.1fZ", s.x(c.End()), f.bottom)
}

func (s *svg) heading() {
	s.text("title", "start", 36, 48, fmt.Sprintf("A day of clicks in %g seconds, let over at %s", s.p.Day.Seconds(), perSecond(s.p.Rate)))
	lead := "Clicks go into a queue; a pipe applies them to a table at the rate that was set."
	if s.p.Kill > 0 {
		lead += " In the middle of the flash crowd, the node that leads the queue is killed."
	}
	s.text("lead", "start", 36, 75, lead)
}

// times draws the axis of time: seconds, and the hours that they stand for.
func (s *svg) times(flow, queue frame) {
	for at := time.Duration(0); at <= s.p.span(); at += seconds(niceStep(s.p.span().Seconds(), 9)) {
		x := s.x(at)
		for _, f := range []frame{flow, queue} {
			s.add(`<line class="grid" x1="%.1f" y1="%g" x2="%.1f" y2="%g"/>`, x, f.top, x, f.bottom)
		}
		s.text("", "middle", x, queueBottom+21, fmt.Sprintf("%g s", at.Seconds()))
		s.text("small", "middle", x, queueBottom+38, hourOf(at, s.p.Day))
	}
}

// scale draws an axis of values.
func (s *svg) scale(f frame, n int) {
	each := niceStep(f.max, n)
	for v := 0.0; v <= f.max*1.001; v += each {
		class := "grid"
		if v == 0 {
			class = "base"
		}
		s.add(`<line class="%s" x1="%g" y1="%.1f" x2="%g" y2="%.1f"/>`, class, plotLeft, f.y(v), plotRight, f.y(v))
		s.text("", "end", plotLeft-9, f.y(v)+5, Grouped(int64(v)))
	}
}

func (s *svg) legend() {
	y := flowTop - 25
	s.text("head", "start", 36, y, "Clicks per second")
	x := 186.0
	for _, e := range []struct {
		class, text string
		width       float64
	}{
		{"made", "clicks made", 140}, {"inflow", "inflow: acknowledged by the queue", 306},
		{"outflow", "outflow: applied to the table", 266}, {"set", "set rate, " + perSecond(s.p.Rate), 0},
	} {
		s.add(`<line class="%s" x1="%g" y1="%g" x2="%g" y2="%g"/>`, e.class, x, y-4.5, x+26, y-4.5)
		s.text("", "start", x+34, y, e.text)
		x += e.width
	}
	s.text("head", "start", 36, queueTop-16, "Backlog: messages that wait in the queue")
}

// marks draws what happened to the leader.
func (s *svg) marks() {
	if s.p.Kill > 0 {
		s.mark("kill", "#dc2626", s.p.Kill, flowTop+6, -1, "leader killed")
	}
	if s.p.Pause.Length() > 0 {
		s.text("paused", "end", s.x(s.p.Kill)-6, flowTop+45, fmt.Sprintf("no write acknowledged for %.2f s", s.p.Pause.Length().Seconds()))
	}
	if s.p.Restart > 0 {
		s.mark("back", "#475569", s.p.Restart, flowTop+6, 1, "restarted")
	}
}

// mark draws a line through both diagrams, with a tag on its left or right side.
func (s *svg) mark(class, color string, at time.Duration, y, side float64, label string) {
	x, width := s.x(at), 14+7.6*float64(len(label))
	s.add(`<line class="%s" x1="%.1f" y1="%g" x2="%.1f" y2="%g"/>`, class, x, flowTop, x, queueBottom)
	left := x
	if side < 0 {
		left = x - width
	}
	s.add(`<rect x="%.1f" y="%g" width="%.1f" height="22" rx="3" fill="%s"/>`, left, y, width, color)
	s.text("tag", "middle", left+width/2, y+15.5, label)
}

// footer is the proof.
func (s *svg) footer() {
	if s.p.Proof == nil {
		return
	}
	class, text := "proof", s.p.Proof.String()
	if !s.p.Proof.Holds() {
		class = "wrong"
	}
	if s.p.Pause.Length() > 0 {
		text += fmt.Sprintf(". Longest pause of acknowledged writes: %.2f s", s.p.Pause.Length().Seconds())
	}
	s.text(class, "start", 36, svgHeight-24, text+".")
}
