package demo

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; look at the change, then rewrite with -rewrite. Got:\n%s", name, got)
	}
}

// runOf is a made-up run of a day: what is clicked is acknowledged at once,
// but not while the leader is missing, and flows out at the rate.
func runOf(d *Day, kill, back time.Duration) *Picture {
	p := &Picture{Day: d.Length, Rate: d.Rate, Made: d.Made(), Kill: kill}
	if kill > 0 {
		p.Restart, p.Pause = kill+4*time.Second, Pause{kill, back}
	}
	applied, sent, next := 0.0, 0.0, 0
	for t := time.Duration(0); t <= d.Length || applied < sent; t += step {
		gone := kill > 0 && t > kill && t < back
		if !gone {
			for next < len(d.Clicks) && d.Clicks[next].At <= t {
				next++
			}
			sent = float64(next)
			applied = min(sent, applied+d.Rate*step.Seconds())
		}
		p.Sent.Add(t, sent)
		p.Applied.Add(t, applied)
		p.Backlog.Add(t, sent-applied)
	}
	return p
}

func TestChartGolden(t *testing.T) {
	day := NewDay(1, 30*time.Second, 400, 20)
	p := runOf(day, 19500*time.Millisecond, 21*time.Second)
	lines := Chart{Width: 110, Rows: 14}.Draw(p)
	golden(t, "chart.txt", []byte(strings.Join(lines, "\n")+"\n"))
	if want := 14 + backlogRows + 3; len(lines) != want {
		t.Errorf("%d lines, want %d", len(lines), want)
	}
	for _, line := range lines {
		if n := len([]rune(line)); n > 110 {
			t.Errorf("a line is %d columns wide: %s", n, line)
		}
	}
	colored := strings.Join(Chart{Width: 60, Rows: 6, Color: true}.Draw(p), "\n")
	golden(t, "chart-color.txt", []byte(colored+"\n"))
	if strings.Count(colored, "\x1b[0m")*2 != strings.Count(colored, "\x1b[") {
		t.Error("a colour does not end")
	}
}

func TestChartOfNothing(t *testing.T) {
	lines := Chart{Width: 1, Rows: 4}.Draw(&Picture{Day: time.Second, Rate: 1})
	if len(lines) != 4+backlogRows+3 {
		t.Errorf("%d lines", len(lines))
	}
}

func TestSVGGolden(t *testing.T) {
	day := NewDay(1, 30*time.Second, 400, 20)
	p := runOf(day, 19500*time.Millisecond, 21*time.Second)
	posts := make([]Tally, day.Posts)
	for _, c := range day.Clicks {
		posts[c.Post].Add(c)
	}
	proof := Compare(posts, posts)
	p.Proof = &proof
	golden(t, "demo.svg", SVG(p))
	golden(t, "calm.svg", SVG(runOf(NewDay(2, 10*time.Second, 50, 3), 0, 0)))
}

func TestNumbers(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 123456: "123,456", 1234567: "1,234,567", -5: "-5", -123: "-123", -1234: "-1,234"} {
		if got := Grouped(n); got != want {
			t.Errorf("Grouped(%d) is %s, want %s", n, got, want)
		}
	}
	for v, want := range map[float64]float64{0: 1, 1: 1, 1590: 1600, 1601: 2000, 9: 10, 81: 100, 0.3: 0.3} {
		if got := niceTop(v); got < want*0.999 || got > want*1.001 {
			t.Errorf("niceTop(%g) is %g, want %g", v, got, want)
		}
	}
	for v, want := range map[float64]float64{100: 20, 1600: 500, 37: 10, 5: 1} {
		if got := niceStep(v, 5); got != want {
			t.Errorf("niceStep(%g, 5) is %g, want %g", v, got, want)
		}
	}
	for v, want := range map[float64]string{400: "400", 1600: "1.6k", 12: "12", 20000: "20k"} {
		if got := short(v); got != want {
			t.Errorf("short(%g) is %s, want %s", v, got, want)
		}
	}
}
