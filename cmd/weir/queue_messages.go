package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"weir.dev/weir/internal/console"
)

const (
	// defaultPeek is how many messages peek and search show unless told.
	defaultPeek = 20
	// maxCancelled is how many messages one request takes back.
	maxCancelled = 10
	// maxShownBody is how many characters of a body a table shows.
	maxShownBody = 60
)

// page asks for one page of messages, without taking them.
func (f *queueFlags) page(path, start, contains string, most int) (page console.QueueMessages, err error) {
	params := url.Values{"max": {strconv.Itoa(most)}}
	for name, value := range map[string]string{"start": start, "contains": contains, "group": f.group} {
		if value != "" {
			params.Set(name, value)
		}
	}
	err = admin(*f.console, "GET", path+"/messages?"+params.Encode(), nil, &page)
	return page, err
}

func (f *queueFlags) peek(path string) error {
	page, err := f.page(path, f.start, "", f.orDefault(defaultPeek))
	if err != nil {
		return err
	}
	return f.show(&page, true)
}

// search reads pages until it has found enough, or has seen all.
func (f *queueFlags) search(path, text string) error {
	found := console.QueueMessages{Messages: []console.QueueMessage{}}
	most := f.orDefault(defaultPeek)
	for start := f.start; ; {
		page, err := f.page(path, start, text, most-len(found.Messages))
		if err != nil {
			return err
		}
		found.Messages = append(found.Messages, page.Messages...)
		found.Next, start = page.Next, page.Next
		if start == "" || len(found.Messages) >= most {
			return f.show(&found, true)
		}
	}
}

func (f *queueFlags) orDefault(n int) int {
	if f.max != 0 {
		return f.max
	}
	return n
}

func (f *queueFlags) cancel(path string, ids []string) error {
	kept := 0
	for len(ids) > 0 {
		some := ids[:min(len(ids), maxCancelled)]
		ids = ids[len(some):]
		var answer console.Cancelled
		if err := admin(*f.console, "POST", path+"/cancel", console.MessageIDs{IDs: some}, &answer); err != nil {
			return err
		}
		for i, done := range answer.Cancelled {
			if !done && i < len(some) {
				kept++
				fmt.Fprintf(os.Stderr, "%s does not wait for its time: it was delivered, cancelled before, or never scheduled\n", some[i])
			}
		}
	}
	if kept > 0 {
		return fmt.Errorf("%d messages were not cancelled", kept)
	}
	return nil
}

func (f *queueFlags) send(path, body string) error {
	if body == "-" {
		text, err := io.ReadAll(os.Stdin)
		if err != nil {
			return fmt.Errorf("cannot read the message from standard input: %w", err)
		}
		body = string(text)
	}
	m := console.NewMessage{Body: body, Group: f.group, Dedup: f.dedup}
	if f.delay != "" {
		delay, err := parseSeconds(f.delay)
		if err != nil {
			return err
		}
		m.Delay = &delay
	}
	for _, name := range sortedNames(f.attributes) {
		m.Attributes = append(m.Attributes, console.MessageAttribute{Name: name, Type: "String", Value: f.attributes[name]})
	}
	if f.at != "" {
		m.Attributes = append(m.Attributes, console.MessageAttribute{Name: "weir.DeliverAt", Type: "String", Value: f.at})
	}
	if f.priority != 0 {
		m.Attributes = append(m.Attributes, console.MessageAttribute{Name: "weir.Priority", Type: "Number", Value: strconv.Itoa(f.priority)})
	}
	var sent console.SentMessage
	if err := admin(*f.console, "POST", path+"/messages", m, &sent); err != nil {
		return err
	}
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(sent)
	}
	fmt.Println(sent.ID)
	return nil
}

func (f *queueFlags) receive(path string) error {
	wait, err := parseSeconds(f.wait)
	if err != nil {
		return err
	}
	req := console.ReceiveRequest{Max: f.orDefault(1), Wait: wait, Delete: f.remove}
	if f.visibility != "" {
		visibility, err := parseSeconds(f.visibility)
		if err != nil {
			return err
		}
		req.Visibility = &visibility
	}
	var page console.QueueMessages
	if err := admin(*f.console, "POST", path+"/receive", req, &page); err != nil {
		return err
	}
	return f.show(&page, false)
}

// parseSeconds reads a duration of whole seconds.
func parseSeconds(s string) (int64, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d%time.Second != 0 || d < 0 {
		return 0, fmt.Errorf("%q is not a duration of whole seconds; write 30s or 5m", s)
	}
	return int64(d / time.Second), nil
}

// show prints messages; places tells whether they say where they are.
func (f *queueFlags) show(page *console.QueueMessages, places bool) error {
	if f.asJSON {
		return json.NewEncoder(os.Stdout).Encode(page)
	}
	printMessages(page, places, time.Now())
	return nil
}

func printMessages(page *console.QueueMessages, places bool, now time.Time) {
	w := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	head := "MESSAGE\tAGE\tRECEIVES\tGROUP\tBODY\n"
	if places {
		head = "MESSAGE\tPLACE\tAGE\tRECEIVES\tGROUP\tBODY\n"
	}
	fmt.Fprint(w, head)
	for i := range page.Messages {
		m := &page.Messages[i]
		fmt.Fprintf(w, "%s\t", m.ID)
		if places {
			fmt.Fprintf(w, "%s\t", place(m, now))
		}
		group := m.Group
		if group == "" {
			group = "-"
		}
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", age(&m.Sent, now), m.Receives, group, shortBody(m.Body))
	}
	_ = w.Flush() // standard output: nothing to do about it
	if page.Next != "" {
		fmt.Printf("\nThere are more: --start %s\n", page.Next)
	}
}

// place is where a message is, and for how long if that is known.
func place(m *console.QueueMessage, now time.Time) string {
	if m.VisibleAt == nil {
		return m.Place
	}
	d := max(m.VisibleAt.Sub(now), 0)
	return m.Place + " for " + d.Round(time.Second).String()
}

// shortBody is a body on one line of a terminal, whatever it holds.
func shortBody(body string) string {
	short := body
	if runes := []rune(body); len(runes) > maxShownBody {
		short = string(runes[:maxShownBody]) + "..."
	}
	if strings.ContainsFunc(short, func(r rune) bool { return !strconv.IsPrint(r) }) {
		return strconv.Quote(short)
	}
	return short
}
