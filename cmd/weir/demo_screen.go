package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"weir.dev/weir/internal/demo"
)

// demoScreen shows the demo: a chart that is drawn over and over on a
// terminal, lines elsewhere, and nothing when JSON is wanted.
type demoScreen struct {
	mu    sync.Mutex // guards all
	out   io.Writer
	width func() (columns, rows int) // nil when out is no terminal
	lines int                        // of the chart that is on the terminal now
	news  []string                   // to say above the chart
	next  time.Duration              // when the next plain line is due
}

// plainEvery is the time between two plain lines.
const plainEvery = 2 * time.Second

func newDemoScreen(quiet bool) *demoScreen {
	s := &demoScreen{out: os.Stdout}
	fd := int(os.Stdout.Fd())
	switch {
	case quiet:
		s.out = io.Discard
	case term.IsTerminal(fd) && os.Getenv("TERM") != "dumb":
		s.width = func() (int, int) {
			columns, rows, err := term.GetSize(fd)
			if err != nil {
				return 80, 24
			}
			return columns, rows
		}
	}
	return s
}

// say prints a line of news, above the chart if there is one.
func (s *demoScreen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	line := fmt.Sprintf(format, args...)
	if s.lines > 0 {
		s.news = append(s.news, line)
		return
	}
	fmt.Fprintln(s.out, line)
}

// draw shows the newest measurements.
func (s *demoScreen) draw(p *demo.Picture) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.width == nil {
		s.plain(p)
		return
	}
	columns, rows := s.width()
	chart := demo.Chart{Width: min(columns, 160), Rows: max(4, min(18, rows-12)), Color: os.Getenv("NO_COLOR") == ""}
	var b strings.Builder
	if s.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.lines)
	}
	for _, line := range s.news {
		b.WriteString(line + "\x1b[K\n")
	}
	s.news = nil
	lines := chart.Draw(p)
	for _, line := range lines {
		b.WriteString(line + "\x1b[K\n")
	}
	b.WriteString("\x1b[J")
	s.lines = len(lines)
	_, _ = io.WriteString(s.out, b.String()) // the terminal may be gone; the demo goes on
}

func (s *demoScreen) plain(p *demo.Picture) {
	at := p.Sent.End()
	if at < s.next {
		return
	}
	s.next = at + plainEvery
	fmt.Fprintf(s.out, "%5.1f s  inflow %6.0f/s  outflow %6.0f/s  backlog %6.0f\n", at.Seconds(),
		p.Sent.RateNow(plainEvery), p.Applied.RateNow(plainEvery), p.Backlog.Last())
}

// endDrawing leaves the chart where it is; what is said next stands below it.
func (s *demoScreen) endDrawing() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = 0
	for _, line := range s.news {
		fmt.Fprintln(s.out, line)
	}
	s.news = nil
}
