package faults

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// totals is a pipe from the stream of records into a table: it counts the
// records of each key, each exactly once.
type totals struct {
	*load
	of    *records
	table *string
}

func (p *totals) start() {
	p.table = p.load.table("totals")
	out := p.c.nodes[0].Weir("pipe", "create", p.name+"-totals", "--from", "stream:"+*p.of.stream, "--to", "table:"+*p.table,
		"--key", "pk=$key", "--update", "ADD records :one", "--value", ":one=1")
	if out.Code != 0 {
		p.t.Fatalf("weir pipe create: status %d: %s", out.Code, out.Stderr)
	}
}

// counted is what the pipe has counted, by key.
func (p *totals) counted() (counts map[string]int, sum int) {
	out, err := p.tables.Scan(p.t.Context(), &dynamodb.ScanInput{TableName: p.table, ConsistentRead: aws.Bool(true)})
	if err != nil {
		p.t.Fatal(err)
	}
	counts = map[string]int{}
	for _, item := range out.Items {
		n := number(item, "records")
		counts[item["pk"].(*types.AttributeValueMemberS).Value] = n
		sum += n
	}
	return counts, sum
}

func (p *totals) check() {
	p.of.mu.Lock()
	acked, unsure := map[string]int{}, p.of.unsure
	for data := range p.of.acked {
		key, _, _ := strings.Cut(data, "/")
		acked[key]++
	}
	all := len(p.of.acked)
	p.of.mu.Unlock()
	p.until("the pipe has counted every record", func() (bool, string) {
		_, sum := p.counted()
		return sum >= all, fmt.Sprintf("%d records counted, %d acknowledged", sum, all)
	})
	counts, sum := p.counted()
	if sum > all+unsure {
		p.t.Errorf("the pipe counted %d records; %d were acknowledged and %d unknown", sum, all, unsure)
	}
	for key, n := range acked {
		if counts[key] < n || unsure == 0 && counts[key] > n {
			p.t.Errorf("the pipe counted %d records of key %s; %d were acknowledged", counts[key], key, n)
		}
	}
	if out := p.c.nodes[0].Weir("pipe", "delete", p.name+"-totals"); out.Code != 0 {
		p.t.Errorf("weir pipe delete: status %d: %s", out.Code, out.Stderr)
	}
	p.t.Logf("pipe from a stream: %d records counted of %d acknowledged, %d unknown", sum, all, unsure)
}
