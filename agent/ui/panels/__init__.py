"""What stands beside the chat: one file a tab, each with `build(page)`, called inside its `gr.Tab`."""
