"""The visit list: leads, draws, the list itself, its workbook and paper, results coming back, exit
reviews."""
