package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"weir.dev/weir/bench/internal/limits"
)

// Report is a whole run.
type Report struct {
	When        time.Time     `json:"when"`
	Machine     string        `json:"machine"`
	Seconds     float64       `json:"seconds_per_run"`
	Disk        []limits.Disk `json:"disk"`
	Idle        []Idle        `json:"idle"`
	Rows        []Row         `json:"rows"`
	Duels       []Duel        `json:"duels"`
	Queues      []Turns       `json:"queues"`
	Streams     []Turns       `json:"streams"`
	Replication []Replicated  `json:"replication,omitempty"`
	Stories     []string      `json:"stories,omitempty"` // what nodes logged where something took long
	Grow        []Window      `json:"grow,omitempty"`
	Settings    []string      `json:"settings"`
	Notes       []string      `json:"notes,omitempty"`
	Skipped     []string      `json:"skipped"`
	Targets     []Target      `json:"targets"`
}

// Target is something that Weir wants to reach.
type Target struct {
	What     string `json:"what"`
	Wanted   string `json:"wanted"`
	Measured string `json:"measured"`
	Met      bool   `json:"met"`
}

func (r *Report) begin(b *bench) {
	r.When, r.Seconds = time.Now().UTC().Truncate(time.Second), b.measureTime.Seconds()
	r.Machine = fmt.Sprintf("%d CPUs, %s, load average before the run %s", runtime.NumCPU(), cpuModel(), loadAverage())
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo") // unknown when it cannot be read
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg") // unknown when it cannot be read
	first, _, _ := strings.Cut(string(text), " ")
	return first
}

// targetClients is the number of clients that targets are stated for.
const targetClients = 64

func (r *Report) find(system string, nodes int, operation string) *Row {
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.System == system && row.Nodes == nodes && row.Operation == operation && row.Clients == targetClients && row.PerSecond > 0 {
			return row
		}
	}
	return nil
}

func (r *Report) judge() {
	add := func(what, wanted string, met bool, format string, args ...any) {
		r.Targets = append(r.Targets, Target{what, wanted, fmt.Sprintf(format, args...), met})
	}
	for _, d := range r.Duels {
		spread := fmt.Sprintf("(%.2f to %.2f)", d.Worst, d.Best)
		if d.Other == emptyHandler {
			add("PutItem on one node, beside an empty handler", "60 %", d.Throughput >= 0.6, "%.0f %% %s", 100*d.Throughput, spread)
			continue
		}
		add("puts on three nodes, beside etcd", "3x (goal 5x)", d.Throughput >= 3, "%.2fx %s", d.Throughput, spread)
		add("their p99, beside etcd's", "no worse", d.P99Micros[0] <= d.P99Micros[1], "%s beside %s", micros(d.P99Micros[0]), micros(d.P99Micros[1]))
		add("server CPU of a put, all three nodes", "below 70 us", d.CPUMicros[0] < 70, "%.0f us (etcd: %.0f us)", d.CPUMicros[0], d.CPUMicros[1])
	}
	r.judgeQueues(add)
	r.judgeStreams(add)
	for _, idle := range r.Idle {
		if idle.System == "weir" {
			add(fmt.Sprintf("memory of an empty node, nodes=%d", idle.Nodes), "below 150 MiB", idle.RSSMiB < 150, "%.0f MiB", idle.RSSMiB)
		}
	}
}

// write prints the report and stores it as Markdown and JSON.
func (r *Report) write(dir string) error {
	r.judge()
	text := r.markdown()
	fmt.Print(text)
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	base := filepath.Join(dir, r.When.Format("20060102-150405"))
	if err := os.WriteFile(base+".json", append(data, '\n'), 0o644); err != nil {
		return fmt.Errorf("cannot write the results: %w", err)
	}
	if err := os.WriteFile(base+".md", []byte(text), 0o644); err != nil {
		return fmt.Errorf("cannot write the results: %w", err)
	}
	fmt.Printf("\nWritten to %s.md and .json\n", base)
	return nil
}

func (r *Report) markdown() string {
	var w strings.Builder
	fmt.Fprintf(&w, "# Benchmark of %s\n\n%s; %g s each.\n", r.When.Format(time.DateOnly), r.Machine, r.Seconds)
	fmt.Fprint(&w, "\n## Targets (64 clients)\n\n| target | wanted | measured | met |\n| --- | --- | --- | --- |\n")
	for _, t := range r.Targets {
		fmt.Fprintf(&w, "| %s | %s | %s | %s |\n", t.What, t.Wanted, t.Measured, map[bool]string{true: "yes", false: "**no**"}[t.Met])
	}
	r.duels(&w)
	r.queues(&w)
	r.streams(&w)
	r.replication(&w)
	r.grow(&w)
	r.ratios(&w)
	if len(r.Disk) > 0 {
		fmt.Fprint(&w, "\n## The disk\n\nRecords of 256 bytes made durable by one writer that takes all who wait at once.\n\n| callers | records/s | CPU |\n| --- | --- | --- |\n")
		for _, d := range r.Disk {
			fmt.Fprintf(&w, "| %d | %.0f | %.1f us |\n", d.Callers, d.PerSecond, d.CPUMicros)
		}
	}
	fmt.Fprint(&w, "\n## Measurements\n\n| system | nodes | operation | clients | per s | p50 | p99 | p99.9 | server CPU/op | RSS | errors |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, x := range r.Rows {
		fmt.Fprintf(&w, "| %s | %d | %s | %d | %.0f | %s | %s | %s | %.0f us | %.0f MiB | %d |\n", x.System, x.Nodes, x.Operation, x.Clients, x.PerSecond,
			micros(x.P50Micros), micros(x.P99Micros), micros(x.P999Micros), x.CPUMicros, x.RSSMiB, x.Errors)
	}
	fmt.Fprint(&w, "\nRSS is the largest node's. Server CPU is summed over the nodes. A queue operation is one message sent,\nreceived and deleted; its latency is that of the whole batch's way.\n")
	fmt.Fprint(&w, "\n## Empty and idle\n\n| system | nodes | RSS of the largest node | CPU of all, of one core |\n| --- | --- | --- | --- |\n")
	for _, i := range r.Idle {
		fmt.Fprintf(&w, "| %s | %d | %.0f MiB | %.1f %% |\n", i.System, i.Nodes, i.RSSMiB, i.CPUPercent)
	}
	paragraph(&w, "Settings", r.Settings)
	paragraph(&w, "Notes", r.Notes)
	paragraph(&w, "Not measured", r.Skipped)
	return w.String()
}

func (r *Report) duels(w *strings.Builder) {
	if len(r.Duels) == 0 {
		return
	}
	fmt.Fprintf(w, "\n## By turns (puts, %d clients)\n\nBoth systems are up and measured in turn, several times; medians, and the smallest and largest ratio.\n\n"+
		"| nodes | other | throughput | Weir per s | other per s | Weir p99 | other p99 | Weir CPU | other CPU |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n", targetClients)
	for _, d := range r.Duels {
		fmt.Fprintf(w, "| %d | %s | %.2fx (%.2f to %.2f) | %.0f | %.0f | %s | %s | %.0f us | %.0f us |\n", d.Nodes, d.Other, d.Throughput, d.Worst, d.Best,
			d.PerSecond[0], d.PerSecond[1], micros(d.P99Micros[0]), micros(d.P99Micros[1]), d.CPUMicros[0], d.CPUMicros[1])
	}
}

// ratios compares Weir with each peer of the same size at each operation.
func (r *Report) ratios(w *strings.Builder) {
	fmt.Fprint(w, "\n## Weir beside its peers (64 clients)\n\n| operation | nodes | peer | throughput | p99 | server CPU/op |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, peer := range r.Rows {
		mine := r.find("weir", peer.Nodes, peer.Operation)
		if mine == nil || peer.Clients != targetClients || peer.PerSecond == 0 || peer.System == "weir" {
			continue
		}
		fmt.Fprintf(w, "| %s | %d | %s | %.2fx | %.2fx | %.2fx |\n", peer.Operation, peer.Nodes, peer.System,
			mine.PerSecond/peer.PerSecond, mine.P99Micros/peer.P99Micros, mine.CPUMicros/peer.CPUMicros)
	}
}

func paragraph(w *strings.Builder, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n## %s\n\n", title)
	for _, line := range lines {
		fmt.Fprintf(w, "- %s\n", strings.ReplaceAll(line, "\n", " "))
	}
}

func micros(us float64) string {
	if us >= 1000 {
		return fmt.Sprintf("%.1f ms", us/1000)
	}
	return fmt.Sprintf("%.0f us", us)
}
