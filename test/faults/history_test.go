package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

// history writes and reads a few items from many clients, each call tried
// once, and holds what they saw to linearizability.
type history struct {
	*load
	table *string

	mu      sync.Mutex // guards what follows
	ops     []porcupine.Operation
	unknown [historyKeys]int
	refused int
}

const (
	historyClients = 6
	historyKeys    = 4
	// maxUnknown bounds the writes of unknown outcome for each key: each of them
	// doubles what the checker may have to try. Then there are only reads.
	maxUnknown = 15
	// checkTimeout bounds the checker; not knowing is no pass.
	checkTimeout = 30 * time.Second
)

type historyKind uint8

const (
	opGet historyKind = iota
	opPut
	opReplace // a put on the condition of the old value
)

// historyInput and historyOutput are one operation; the value "" is no item.
type historyInput struct {
	kind     historyKind
	key      int
	old, new string
}

type historyOutput struct {
	value   string
	done    bool
	unknown bool
}

func (p *history) start() {
	p.table = p.load.table("history")
	for w := range historyClients {
		seen := map[int]string{}
		p.client(15*time.Millisecond, func(ctx context.Context, i int) {
			in := historyInput{kind: historyKind(rand.IntN(3)), key: rand.IntN(historyKeys), new: fmt.Sprint(w, ".", i)}
			in.old = seen[in.key]
			p.mu.Lock()
			if p.unknown[in.key] >= maxUnknown {
				in.kind = opGet
			}
			p.mu.Unlock()
			called := time.Since(p.begun)
			out, err := p.do(ctx, in)
			returned := time.Since(p.begun)
			if err == nil && (in.kind == opGet || out.done) {
				seen[in.key] = map[bool]string{true: out.value, false: in.new}[in.kind == opGet]
			}
			p.note(w, in, out, err, called, returned)
		})
	}
}

func (p *history) do(ctx context.Context, in historyInput) (out historyOutput, err error) {
	key := fmt.Sprint("k", in.key)
	if in.kind == opGet {
		got, err := p.once.GetItem(ctx, &dynamodb.GetItemInput{TableName: p.table, Key: item{"pk": s(key)}, ConsistentRead: aws.Bool(true)})
		if err != nil {
			return out, err
		}
		if v, ok := got.Item["v"].(*str); ok {
			out.value = v.Value
		}
		return out, nil
	}
	put := &dynamodb.PutItemInput{TableName: p.table, Item: item{"pk": s(key), "v": s(in.new)}}
	if in.kind == opReplace {
		put.ConditionExpression = aws.String("attribute_not_exists(v)")
		if in.old != "" {
			put.ConditionExpression, put.ExpressionAttributeValues = aws.String("v = :old"), item{":old": s(in.old)}
		}
	}
	_, err = p.once.PutItem(ctx, put)
	var failed *types.ConditionalCheckFailedException
	if errors.As(err, &failed) {
		return historyOutput{}, nil
	}
	return historyOutput{done: true}, err
}

// note adds an operation. What surely did not happen is left out; what is
// unknown may happen at any time from its call on.
func (p *history) note(client int, in historyInput, out historyOutput, err error, called, returned time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	op := porcupine.Operation{ClientId: client, Input: in, Output: out, Call: int64(called), Return: int64(returned)}
	if err != nil {
		var api smithy.APIError
		surelyNot := errors.Is(err, syscall.ECONNREFUSED) || errors.As(err, &api) && (api.ErrorCode() == "ServiceUnavailable" || api.ErrorCode() == "ThrottlingException")
		if surelyNot || in.kind == opGet {
			p.refused++
			return
		}
		p.unknown[in.key]++
		op.ClientId = historyClients + len(p.ops) // a client of its own, who never hears
		op.Output, op.Return = historyOutput{unknown: true}, int64(1<<60)
	}
	p.ops = append(p.ops, op)
}

func (p *history) check() {
	unknown := 0
	for _, u := range p.unknown {
		unknown += u
	}
	begun := time.Now()
	switch porcupine.CheckOperationsTimeout(historyModel, p.ops, checkTimeout) {
	case porcupine.Illegal:
		p.t.Errorf("the history of %d reads and writes is not linearizable", len(p.ops))
	case porcupine.Unknown:
		p.t.Errorf("the checker could not decide about %d reads and writes, %d of them unknown", len(p.ops), unknown)
	case porcupine.Ok:
		p.t.Logf("history: %d reads and writes are linearizable; %d unknown, %d refused; checked in %v", len(p.ops), unknown, p.refused, since(begun))
	}
}

var historyModel = porcupine.Model{
	Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, historyKeys)
		for _, op := range ops {
			key := op.Input.(historyInput).key
			parts[key] = append(parts[key], op)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		in, out, now := input.(historyInput), output.(historyOutput), state.(string)
		switch {
		case in.kind == opGet:
			return out.value == now, now
		case in.kind == opPut:
			return true, in.new
		case out.unknown && now != in.old:
			return true, now
		case out.unknown || out.done:
			return now == in.old, in.new
		default:
			return now != in.old, now
		}
	},
	Equal: func(a, b any) bool { return a == b },
}
