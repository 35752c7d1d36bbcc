package demo

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// Picture is what both drawings show.
type Picture struct {
	Day     time.Duration // length of the day
	Rate    float64       // set rate of the outflow, per second
	Made    Curve         // clicks that were made so far
	Sent    Curve         // clicks acknowledged so far
	Applied Curve         // clicks in the table so far
	Backlog Curve         // messages that wait in the queue
	Kill    time.Duration // when the leader was killed; zero is not yet
	Restart time.Duration // when it was started again; zero is not yet
	Pause   Pause         // the longest time without an acknowledged write, once known
	Proof   *Proof        // once known
}

// step is the distance of the points that are drawn.
const step = 250 * time.Millisecond

// span is the time that the picture shows: the day and what comes after it.
func (p *Picture) span() time.Duration {
	span := max(p.Day*5/4, p.Sent.End(), p.Applied.End())
	return (span + time.Second - 1).Truncate(time.Second)
}

// Chart draws a Picture with text.
type Chart struct {
	Width int  // columns, at least 40
	Rows  int  // of the upper diagram
	Color bool // with ANSI colours
}

// backlogRows is the height of the lower diagram.
const backlogRows = 3

// margin is the width of the numbers on the left.
const margin = 8

// ANSI colours.
const (
	blue   = "34"
	green  = "1;32"
	yellow = "33"
	red    = "1;31"
	gray   = "90"
)

func (c Chart) paint(color, text string) string {
	if !c.Color || text == "" {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// Draw returns the lines of the chart: inflow against outflow, below it the
// backlog and the axis of time. Their number depends on Rows only.
func (c Chart) Draw(p *Picture) []string {
	cols := max(40, c.Width) - margin - 1
	inflow, outflow := p.Sent.rates(step), p.Applied.rates(step)
	top := niceTop(max(inflow.Max(), outflow.Max(), p.Rate*2))
	lines := []string{c.legend(p)}
	upper := c.plot(p, []layer{{inflow, blue}, {outflow, green}}, cols, top)
	for i, row := range upper {
		label := ""
		switch i {
		case 0:
			label = short(top)
		case c.Rows - 1:
			label = "0"
		case c.Rows - 1 - int(p.Rate/top*float64(c.Rows)):
			label = short(p.Rate)
		}
		lines = append(lines, c.paint(gray, fmt.Sprintf("%*s ┤", margin-2, label))+row)
	}
	deepest := niceTop(max(p.Backlog.Max(), 10))
	for i, row := range c.bars(p, cols, deepest) {
		label := ""
		if i == 0 {
			label = short(deepest)
		}
		lines = append(lines, c.paint(gray, fmt.Sprintf("%*s ┤", margin-2, label))+row)
	}
	return append(lines, c.axis(p, cols), c.marks(p, cols))
}

// legend names the curves and their newest values.
func (c Chart) legend(p *Picture) string {
	backlog := p.Backlog.Last()
	text := c.paint(blue, "━ inflow "+perSecond(p.Sent.RateNow(time.Second))) + "   " +
		c.paint(green, "━ outflow "+perSecond(p.Applied.RateNow(time.Second))) + " of " + perSecond(p.Rate) + " set   " +
		c.paint(yellow, "█ backlog "+Grouped(int64(backlog)))
	return text + c.paint(gray, fmt.Sprintf("   %s on the clock", hourOf(p.Sent.End(), p.Day)))
}

// layer is one curve of a diagram.
type layer struct {
	curve Curve
	color string
}

// dots are the bits of a braille sign's dots, by row and column.
var dots = [4][2]rune{{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}}

// plot draws curves with braille dots, two to a column and four to a row.
// Where two meet, the later one gives the colour.
func (c Chart) plot(p *Picture, layers []layer, cols int, top float64) []string {
	cells := make([]rune, cols*c.Rows)
	colors := make([]string, len(cells))
	height := c.Rows * 4
	for _, l := range layers {
		before := -1
		for x := range cols * 2 {
			t := time.Duration(float64(p.span()) * (float64(x) + 0.5) / float64(cols*2))
			if t > l.curve.End() {
				break
			}
			y := min(height-1, int(l.curve.At(t)/top*float64(height)))
			from := y
			if before >= 0 {
				from = before
			}
			for v := min(from, y); v <= max(from, y); v++ {
				at := (height-1-v)/4*cols + x/2
				cells[at] |= dots[(height-1-v)%4][x%2]
				colors[at] = l.color
			}
			before = y
		}
	}
	rows := make([]string, c.Rows)
	for r := range rows {
		rows[r] = c.row(cells[r*cols:(r+1)*cols], colors[r*cols:(r+1)*cols], 0x2800)
	}
	return rows
}

// row paints cells, with one colour code for each run of a colour.
func (c Chart) row(cells []rune, colors []string, blank rune) string {
	var b, run strings.Builder
	color := ""
	flush := func() { b.WriteString(c.paint(color, run.String())); run.Reset() }
	for i, cell := range cells {
		if cell == 0 && blank == 0x2800 {
			cell = ' '
		} else {
			cell |= blank
		}
		if colors[i] != color && cell != ' ' {
			flush()
			color = colors[i]
		}
		run.WriteRune(cell)
	}
	flush()
	return strings.TrimRight(b.String(), " ")
}

// bars draws the backlog as bars.
func (c Chart) bars(p *Picture, cols int, top float64) []string {
	eighths := []rune(" ▁▂▃▄▅▆▇█")
	rows := make([]string, backlogRows)
	for r := range rows {
		cells, colors := make([]rune, cols), make([]string, cols)
		for x := range cols {
			t := time.Duration(float64(p.span()) * (float64(x) + 0.5) / float64(cols))
			v := 0
			if t <= p.Backlog.End() {
				v = int(math.Ceil(p.Backlog.At(t) / top * backlogRows * 8))
			}
			cells[x], colors[x] = eighths[max(0, min(8, v-(backlogRows-1-r)*8))], yellow
		}
		rows[r] = c.row(cells, colors, 0)
	}
	return rows
}

// axis draws the seconds.
func (c Chart) axis(p *Picture, cols int) string {
	signs := []rune(strings.Repeat(" ", margin) + strings.Repeat("─", cols+1))
	each := niceStep(p.span().Seconds(), max(2, cols/14))
	for s := 0.0; s <= p.span().Seconds(); s += each {
		text := []rune(fmt.Sprintf("%g s", s))
		if at := margin + c.column(p, seconds(s), cols); at+len(text) < len(signs) {
			copy(signs[at:], text)
		}
	}
	return c.paint(gray, string(signs))
}

// marks draws what happened to the leader.
func (c Chart) marks(p *Picture, cols int) string {
	line, at := "", 0
	put := func(t time.Duration, color, text string) {
		if t == 0 {
			return
		}
		want := max(at, min(margin+c.column(p, t, cols), margin+cols-len([]rune(text))))
		line += strings.Repeat(" ", want-at) + c.paint(color, text)
		at = want + len([]rune(text)) + 1
		line += " "
	}
	put(p.Kill, red, "▲ leader killed")
	put(p.Restart, green, "▲ restarted")
	return strings.TrimRight(line, " ")
}

func (c Chart) column(p *Picture, t time.Duration, cols int) int {
	return min(cols-1, int(float64(t)/float64(p.span())*float64(cols)))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
