package service

import (
	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/model"
)

// The requests and results of the table operations. They are typed and carry
// no wire form: a door parses expressions and values and encodes results.
//
// What a door checks before it calls: the shape of the request (presence and
// length of parameters as the AWS model states them), the syntax of
// expressions, the form of values (numbers canonical, sets without
// duplicates, nesting). What the service checks: everything that needs the
// table (existence, key schema, key types and sizes), item sizes, batch
// counts and duplicates.
//
// Invocation is the id of the client's call, the same for all its retries
// (amz-sdk-invocation-id). With it a write that is retried unchanged takes
// effect once; zero means that the client sent none, and each request counts.

// KeyElement is one element of a key schema, as the client gave it.
type KeyElement struct {
	Name string
	Type string // "HASH" or "RANGE"
}

// CreateTableRequest asks for a new table.
type CreateTableRequest struct {
	Invocation         model.RequestID
	Name               string
	Attributes         []model.KeyAttr // AttributeDefinitions
	KeySchema          []KeyElement
	Billing            model.BillingMode // zero: provisioned, as DynamoDB
	ReadUnits          uint64            // ProvisionedThroughput; zero when not given
	WriteUnits         uint64
	Tags               []model.Tag
	DeletionProtection bool
	Class              model.TableClass // zero: standard
	KmsKey             string           // "": no encryption by KMS
}

// UpdateTableRequest changes settings of a table. Nil fields stay as they are.
type UpdateTableRequest struct {
	Name               string
	Billing            *model.BillingMode
	ReadUnits          *uint64 // with WriteUnits: ProvisionedThroughput
	WriteUnits         *uint64
	DeletionProtection *bool
	Class              *model.TableClass
	KmsKey             *string // "" ends the encryption by KMS
}

// Table is what DescribeTable and its like answer with.
type Table struct {
	ID        model.ResourceID
	Name      string
	CreatedMs int64 // Unix milliseconds
	Deleting  bool
	Spec      *model.TableSpec // shared and read-only
	// ItemCount and SizeBytes are not kept yet and always zero; DynamoDB itself
	// updates its own only about every six hours.
	ItemCount int64
	SizeBytes int64
}

// ListTablesRequest asks for table names after Start, in order.
type ListTablesRequest struct {
	Start string // exclusive; "" begins at the first
	Limit int    // 1 to 100; 0 is 100
}

// ListTablesResult holds one page of names.
type ListTablesResult struct {
	Names []string
	Last  string // "" when there are no more, else the next Start
}

// PutItemRequest replaces or creates an item.
type PutItemRequest struct {
	Invocation   model.RequestID
	Table        string
	Item         model.Item
	Condition    *expr.Condition // nil: none
	ReturnOld    bool            // ReturnValues=ALL_OLD
	ReturnOnFail bool            // ReturnValuesOnConditionCheckFailure=ALL_OLD
	WantUnits    bool            // ReturnConsumedCapacity: look at the old item too, which costs a read
}

// WriteResult is what the single-item writes answer with.
type WriteResult struct {
	Attributes model.Item // as the request's Return names them; nil when there are none
	// Units are the consumed write capacity units: exact when WantUnits was
	// set, and for UpdateItem; else of the new item alone.
	Units float64
}

// UpdateItemRequest changes or creates an item.
type UpdateItemRequest struct {
	Invocation   model.RequestID
	Table        string
	Key          model.Item
	Update       *expr.Update    // nil: none, which still creates the item
	Condition    *expr.Condition // nil: none
	Return       model.ReturnMode
	ReturnOnFail bool
}

// DeleteItemRequest removes an item; an absent one is no error.
type DeleteItemRequest struct {
	Invocation   model.RequestID
	Table        string
	Key          model.Item
	Condition    *expr.Condition // nil: none
	ReturnOld    bool
	ReturnOnFail bool
	WantUnits    bool // as in PutItemRequest
}

// GetItemRequest reads one item.
type GetItemRequest struct {
	Table      string
	Key        model.Item
	Projection *expr.Projection // nil: all attributes
	Strong     bool
}

// GetItemResult is the item, if Found.
type GetItemResult struct {
	Found bool
	Item  model.Item // projected; may be empty though Found
	Units float64    // consumed read capacity units
}

// QueryRequest reads items of one partition key in sort order.
type QueryRequest struct {
	Table      string
	Key        *expr.KeyCondition
	Filter     *expr.Condition  // nil: none
	Projection *expr.Projection // nil: all attributes
	Limit      int              // items read before the filter; 0: none
	StartKey   model.Item       // exclusive; nil: from the beginning
	Reverse    bool             // ScanIndexForward=false
	CountOnly  bool             // Select=COUNT
	Strong     bool
}

// ScanRequest reads all items of a table, page by page, in an order of
// Weir's own that does not change while an item stays.
type ScanRequest struct {
	Table         string
	Filter        *expr.Condition  // nil: none
	Projection    *expr.Projection // nil: all attributes
	Limit         int              // items read before the filter; 0: none
	StartKey      model.Item       // exclusive; nil: from the beginning
	Segment       int              // of a parallel scan, from 0
	TotalSegments int              // 0: not parallel
	CountOnly     bool
	Strong        bool
}

// Page is one page of a query or scan.
type Page struct {
	Items   []model.Item // empty for CountOnly
	Count   int          // items after the filter
	Scanned int          // items before the filter
	LastKey model.Item   // nil when there are no more, else the next StartKey
	Units   float64      // consumed read capacity units
}

// Write is one write of a batch: exactly one of its fields is not nil.
type Write struct {
	Put    model.Item // the whole item
	Delete model.Item // the key
}

// TableWrites are a batch's writes to one table.
type TableWrites struct {
	Table  string
	Writes []Write
}

// BatchWriteItemRequest puts and deletes up to 25 items, each by itself: some
// may take effect and others not.
type BatchWriteItemRequest struct {
	Invocation model.RequestID
	Tables     []TableWrites // each table once
}

// TableUnits is the capacity that one table was charged.
type TableUnits struct {
	Table string
	Units float64
}

// BatchWriteItemResult names what was not done. An unprocessed write may
// still take effect when its outcome was unknown; to send it again is safe.
type BatchWriteItemResult struct {
	Unprocessed []TableWrites
	Units       []TableUnits // write capacity units, by the request's order
}

// TableGets are a batch's keys in one table.
type TableGets struct {
	Table      string
	Keys       []model.Item
	Projection *expr.Projection // nil: all attributes
	Strong     bool
}

// BatchGetItemRequest reads up to 100 items.
type BatchGetItemRequest struct {
	Tables []TableGets // each table once
}

// TableItems are the items found in one table, in no promised order.
type TableItems struct {
	Table string
	Items []model.Item
}

// BatchGetItemResult holds what was found, at most 16 MB of it.
type BatchGetItemResult struct {
	Tables      []TableItems // by the request's order, also when empty
	Unprocessed []TableGets
	Units       []TableUnits // read capacity units, by the request's order
}
